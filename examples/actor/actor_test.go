package actor

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// vector is a case that the package for TypeScript (../actor-ts) decides in the same
// way. Response is nil where only the claims are asked.
type vector struct {
	Name     string
	Claims   map[string]any
	Response map[string]any
	Want     *Actor
	Error    string
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (v vector) read() (*Actor, error) {
	if v.Response == nil {
		return From(v.Claims)
	}
	return FromResponse(v.Claims, func(name string) any { return v.Response[name] })
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			got, err := v.read()
			if v.Error != "" {
				if !errors.Is(err, ErrUnclear) || !strings.HasSuffix(err.Error(), ": "+v.Error) {
					t.Errorf("got %v, %v, want the error %q", got, err, v.Error)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, v.Want) {
				t.Errorf("got %+v, %v, want %+v", got, err, v.Want)
			}
		})
	}
}

// Libraries differ in what they make of a number.
func TestNumericDate(t *testing.T) {
	want := time.Unix(1795300000, 0).UTC()
	for _, exp := range []any{float64(1795300000), 1795300000, int64(1795300000), json.Number("1795300000")} {
		a, err := From(map[string]any{"sub": "usr_ada", "act": map[string]any{"sub": "usr_sam"}, "exp": exp})
		if err != nil || a.Expires != want {
			t.Errorf("%T: got %v, %v, want %v", exp, a, err, want)
		}
	}
	for _, exp := range []any{json.Number("1e999"), json.Number("soon"), time.Now(), nil} {
		if a, err := From(map[string]any{"sub": "usr_ada", "act": map[string]any{"sub": "usr_sam"}, "exp": exp}); err == nil {
			t.Errorf("%T %v: got %v, want an error", exp, exp, a)
		}
	}
}

func TestString(t *testing.T) {
	a := Actor{Subject: "usr_sam"}
	for _, want := range []string{"usr_sam", "sam@example.test", "Sam Support"} {
		switch want {
		case "sam@example.test":
			a.Email = want
		case "Sam Support":
			a.Name = want
		}
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Whatever claims and a response say: with an `act` nobody hears that nobody acts,
// and whoever acts has a subject and an end.
func FuzzFrom(f *testing.F) {
	for _, v := range vectors(f) {
		claims, _ := json.Marshal(v.Claims)
		response, _ := json.Marshal(v.Response)
		f.Add(claims, response)
	}
	f.Fuzz(func(t *testing.T, claims, response []byte) {
		var v vector
		if json.Unmarshal(claims, &v.Claims) != nil || json.Unmarshal(response, &v.Response) != nil {
			return
		}
		a, err := v.read()
		_, acts := v.Claims["act"]
		switch {
		case err != nil && a != nil:
			t.Errorf("%v with an error: %v", a, err)
		case err != nil && !errors.Is(err, ErrUnclear):
			t.Errorf("got %v, want %v", err, ErrUnclear)
		case err == nil && acts != (a != nil):
			t.Errorf("act there: %v, got %v", acts, a)
		case err == nil && a != nil && (strings.TrimSpace(a.Subject) == "" || a.Expires.IsZero()):
			t.Errorf("got %+v", a)
		}
	})
}
