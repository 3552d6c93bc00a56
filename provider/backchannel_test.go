package provider

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/storage"
)

// A second, then twice as long each time, up to ten minutes.
func TestPauseAfter(t *testing.T) {
	for attempts, want := range map[int64]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 512 * time.Second,
		11: 10 * time.Minute, 12: 10 * time.Minute, 1000: 10 * time.Minute, 1 << 62: 10 * time.Minute,
	} {
		for jitter, part := range map[float64]float64{0: 0.8, 0.5: 1, 0.999: 1.1996} {
			got, want := pauseAfter(attempts, time.Second, longestPause, jitter), time.Duration(float64(want)*part)
			if diff := got - want; diff < -time.Millisecond || diff > time.Millisecond {
				t.Errorf("after %d attempts, jitter %v: got %v, want %v", attempts, jitter, got, want)
			}
		}
	}
}

// What an answer, or none, makes of a notice.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	failure := &url.Error{Op: "Post", URL: "https://rp.example/?key=secret", Err: errors.New("no route " + strings.Repeat("ü", 200))}
	for name, c := range map[string]struct {
		status int
		err    error
		age    time.Duration
		want   storage.NoticeStatus
		cause  string
	}{
		"200":                       {200, nil, 0, storage.NoticeDelivered, ""},
		"204":                       {204, nil, 0, storage.NoticeDelivered, ""},
		"200, then the line broke":  {200, failure, 0, storage.NoticeDelivered, ""},
		"200, late":                 {200, nil, 48 * time.Hour, storage.NoticeDelivered, ""},
		"302":                       {302, nil, 0, storage.NoticePending, "the answer was 302"},
		"400":                       {400, nil, 0, storage.NoticeFailed, "the answer was 400"},
		"400, then the line broke":  {400, failure, 0, storage.NoticeFailed, "no route "},
		"408":                       {408, nil, 0, storage.NoticePending, "the answer was 408"},
		"410":                       {410, nil, 0, storage.NoticeFailed, "the answer was 410"},
		"429":                       {429, nil, 0, storage.NoticePending, "the answer was 429"},
		"500":                       {500, nil, 0, storage.NoticePending, "the answer was 500"},
		"599":                       {599, nil, 0, storage.NoticePending, "the answer was 599"},
		"no answer":                 {0, failure, 0, storage.NoticePending, "no route "},
		"a forbidden address":       {0, errForbiddenAddress, 0, storage.NoticePending, errForbiddenAddress.Error()},
		"not wanted any more":       {0, errNotWanted, 0, storage.NoticeFailed, errNotWanted.Error()},
		"no answer, nearly a day":   {0, failure, 24*time.Hour - 8*time.Second, storage.NoticePending, "no route "},
		"no answer, more than that": {0, failure, 24*time.Hour - 7*time.Second, storage.NoticeFailed, "no route "},
	} {
		n := &storage.LogoutNotice{Status: storage.NoticePending, Attempts: 4, CreatedAt: storage.At(now.Add(-c.age)), Error: "before"}
		judge(n, c.status, c.err, 0.5, now)
		if n.Status != c.want || n.HTTPStatus != int64(c.status) || !strings.HasPrefix(n.Error, c.cause) || c.cause == "" && n.Error != "" {
			t.Errorf("%s: got %+v", name, n)
		}
		if len(n.Error) > maxCause || !utf8.ValidString(n.Error) || strings.Contains(n.Error, "secret") {
			t.Errorf("%s: error %q", name, n.Error)
		}
		if next := storage.At(now.Add(8 * time.Second)); n.Status == storage.NoticePending && n.NextAttemptAt != next {
			t.Errorf("%s: next attempt at %v, want %v", name, n.NextAttemptAt.Time(), next.Time())
		}
	}
}

// Whatever sid and client are called, a logout token says exactly what it should,
// is signed, and is nothing else (SECURITY A24, fuzz target 12).
func FuzzLogoutToken(f *testing.F) {
	store := migratedStore(f)
	keys, err := NewKeyring(store, testSecret)
	if err == nil {
		err = keys.Ensure(f.Context(), time.Now())
	}
	if err != nil {
		f.Fatal(err)
	}
	p := &Provider{Keys: keys, config: Config{Issuer: "https://id.example"}}
	f.Add("sid_x", "app", "usr_ada", false)
	f.Add("imp_x", "app", "usr_ada", true)
	f.Add("", "", "", false)
	f.Add("0", "\x8e\x8e", "0", true)
	f.Add(`","nonce":"x`, `"],"sub":"usr_root`, "\x00\xff\u2028<script>", true)
	f.Fuzz(func(t *testing.T, sid, client, user string, acting bool) {
		n := &storage.LogoutNotice{SID: sid, ClientID: client, UserID: user}
		want := map[string]any{
			"iss": "https://id.example", "aud": valid(client), "sid": valid(sid),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		members := []string{"aud", "events", "exp", "iat", "iss", "jti", "sid"}
		switch {
		case acting:
			n.ImpersonationID = "imp_x"
		case user != "":
			want["sub"] = valid(user)
			members = append(members, "sub")
		}
		for _, alg := range []string{algRS256, algES256} {
			now := time.Now()
			token, err := keys.sign(alg, typLogoutToken, p.newLogoutToken(n, now))
			if err != nil {
				t.Fatal(err)
			}
			set, _ := keys.Set()
			var trusted jose.JSONWebKeySet
			if err := json.Unmarshal(set, &trusted); err != nil {
				t.Fatal(err)
			}
			signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := signed.Verify(trusted)
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, members) {
				t.Errorf("members %v, want %v", got, members)
			}
			for name, value := range want {
				if got, _ := json.Marshal(claims[name]); string(got) != string(asRaw(value)) {
					t.Errorf("%s: got %s, want %s", name, got, asRaw(value))
				}
			}
			if claims["iat"] != float64(now.Unix()) || claims["exp"] != float64(now.Add(2*time.Minute).Unix()) {
				t.Errorf("iat %v, exp %v", claims["iat"], claims["exp"])
			}
			if typ := signed.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "logout+jwt" {
				t.Errorf("typ %v", typ)
			}
			for _, typ := range []string{typIDToken, typAccessToken} {
				if _, err := keys.verify(token, typ); err == nil {
					t.Errorf("it passes as %s", typ)
				}
			}
		}
	})
}

// valid is text as JSON can say it.
func valid(s string) string { return string([]rune(s)) }
