package actor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// What a guard answers. ErrUnknown is a mistake in the application: the handler is
// not behind Middleware.
var (
	ErrUnknown  = errors.New("actor: nobody said who acts")
	ErrActing   = errors.New("actor: not while somebody acts as the user")
	ErrReadOnly = errors.New("actor: whoever acts as the user may only read")
	ErrExpired  = errors.New("actor: the permission to act is over")
)

type contextKey struct{}

// With returns a context that knows who acts, or with nil that nobody does.
func With(ctx context.Context, a *Actor) context.Context {
	return context.WithValue(ctx, contextKey{}, a)
}

// Of returns who acts, nil when nobody does, and ErrUnknown when the context does not
// know: that is no nobody.
func Of(ctx context.Context) (*Actor, error) {
	a, ok := ctx.Value(contextKey{}).(*Actor)
	if !ok {
		return nil, ErrUnknown
	}
	return a, nil
}

// Middleware asks who acts in each request, and lets the handlers behind it know.
// who looks into the request's session, or into the verified claims of its token.
// An error of who, and an actor whose time is up, end the request.
func Middleware(who func(*http.Request) (*Actor, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := who(r)
		if err == nil && a != nil && a.Expired(time.Now()) {
			err = ErrExpired
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), a)))
	})
}

// RequireNobody returns ErrActing while somebody acts. It belongs before what staff
// never do for a user: a new password or e-mail address, API keys, payments, consent,
// the end of the account.
func RequireNobody(ctx context.Context) error {
	a, err := Of(ctx)
	if err == nil && a != nil {
		err = ErrActing
	}
	return err
}

// RequireWrite returns ErrReadOnly to an actor who may only read, and to one of whom
// it is not known, and ErrExpired to one whose time is up. It belongs before every change. An API that checks the scopes of
// access tokens needs it not: a read-only impersonation has no others.
func RequireWrite(ctx context.Context) error {
	a, err := Of(ctx)
	switch {
	case err != nil || a == nil:
		return err
	case a.Expired(time.Now()):
		return ErrExpired
	case a.Access != Full:
		return ErrReadOnly
	}
	return nil
}

// Guard is the middleware of a requirement: RequireNobody, RequireWrite or your own.
// Handlers that show pages ask the requirement themselves, and say it in their words.
func Guard(require func(context.Context) error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := require(r.Context()); err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse tells what the guards say, and keeps to itself what others do.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, ErrActing), errors.Is(err, ErrReadOnly):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, ErrExpired):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrUnclear):
		slog.InfoContext(r.Context(), "refused", "path", r.URL.Path, "error", err)
		http.Error(w, ErrUnclear.Error(), http.StatusForbidden)
	default:
		slog.ErrorContext(r.Context(), "refused", "path", r.URL.Path, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}
