package actor

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var (
	sam      = Actor{Subject: "usr_sam", Expires: time.Now().Add(time.Hour), Access: Full}
	readOnly = Actor{Subject: "usr_sam", Expires: time.Now().Add(time.Hour), Access: ReadOnly}
	unknown  = Actor{Subject: "usr_sam", Expires: time.Now().Add(time.Hour)}
	over     = Actor{Subject: "usr_sam", Expires: time.Now(), Access: Full}
)

func TestRequirements(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		name          string
		ctx           context.Context
		nobody, write error
	}{
		{"nobody", With(ctx, nil), nil, nil},
		{"full access", With(ctx, &sam), ErrActing, nil},
		{"read only", With(ctx, &readOnly), ErrActing, ErrReadOnly},
		{"access not known", With(ctx, &unknown), ErrActing, ErrReadOnly},
		{"expired", With(ctx, &over), ErrActing, ErrExpired},
		{"no middleware", ctx, ErrUnknown, ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := RequireNobody(c.ctx); !errors.Is(err, c.nobody) {
				t.Errorf("RequireNobody: got %v, want %v", err, c.nobody)
			}
			if err := RequireWrite(c.ctx); !errors.Is(err, c.write) {
				t.Errorf("RequireWrite: got %v, want %v", err, c.write)
			}
		})
	}
}

func TestMiddleware(t *testing.T) {
	for _, c := range []struct {
		name   string
		who    *Actor
		err    error
		status int
	}{
		{"nobody", nil, nil, http.StatusOK},
		{"full access", &sam, nil, http.StatusForbidden},
		{"expired", &over, nil, http.StatusUnauthorized},
		{"unclear", nil, ErrUnclear, http.StatusForbidden},
		{"the session cannot be read", nil, errors.New("database: gone"), http.StatusInternalServerError},
	} {
		t.Run(c.name, func(t *testing.T) {
			handler := Middleware(func(*http.Request) (*Actor, error) { return c.who, c.err },
				Guard(RequireNobody, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/password", nil))
			if w.Code != c.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
	t.Run("forgotten", func(t *testing.T) {
		w := httptest.NewRecorder()
		Guard(RequireWrite, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("got %d, want 500", w.Code)
		}
	})
}
