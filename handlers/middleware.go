package handlers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
)

// maxBody is how large a request's body may be (SECURITY H01).
const maxBody = 64 << 10

type notesKey struct{}

// notes are what is known of a request while it is answered.
type notes struct {
	id      string
	locales string // the languages that the application asks for, best first
}

func notesOf(ctx context.Context) *notes {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		return n
	}
	return &notes{}
}

func requestID(ctx context.Context) string { return notesOf(ctx).id }

// everyRequest gives a request its id and its limits, and the answer the headers
// that every answer has. A panic in a handler costs that request only.
func (s *Server) everyRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		id := rand.Text()[:16]
		r = r.WithContext(context.WithValue(r.Context(), notesKey{}, &notes{id: id, locales: r.URL.Query().Get(uiLocales)}))
		r.Body = &boundedBody{http.MaxBytesReader(w, r.Body, maxBody), r.Body}
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("Referrer-Policy", "same-origin")
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				s.log.ErrorContext(r.Context(), "panic", "request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				switch {
				case rec.status != 0:
				case managed(r):
					s.problem(rec, r, errAPIPanic)
				default:
					s.pageError(rec, r, errPanic)
				}
			}
			s.metrics.observe(r, rec.status, time.Since(started))
		}()
		next.ServeHTTP(rec, r)
	})
}

// boundedBody is a request's body within its limit. A handler that takes more, from
// somebody who may send it, sets a limit of its own to the whole.
type boundedBody struct {
	io.ReadCloser
	whole io.ReadCloser
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// unrouted answers what no row of the table does: a method that its address does
// not take, or an address that is not there.
func (s *Server) unrouted(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed, patterns []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				allowed, patterns = append(allowed, method), append(patterns, pattern)
			}
		}
		if len(allowed) == 0 {
			if managed(r) {
				s.problem(w, r, errNoOperation)
				return
			}
			s.pageError(w, r, errNoPage)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		if managed(r) {
			s.problem(w, r, errOtherMethod)
			return
		}
		if slices.ContainsFunc(s.table(), func(rt route) bool {
			return rt.kind != page && rt.kind != entry && slices.Contains(patterns, rt.pattern)
		}) {
			w.Header().Set("Cache-Control", "no-store")
			s.oauthError(w, r, provider.ErrMethod)
			return
		}
		s.pageError(w, r, errMethod)
	}
}

// asWritten keeps the mux from redirecting a request for the management API that spells
// its address in another way (//, /../): no program expects a page there.
func (s *Server) asWritten(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if managed(r) && path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") {
			s.problem(w, r, errNoOperation)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// managed reports whether a request is for the management API, whatever is there.
func managed(r *http.Request) bool {
	return r.URL.Path == api.Prefix || strings.HasPrefix(r.URL.Path, api.Prefix+"/")
}

// route adapts one row of the table.
func (s *Server) route(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		switch rt.kind {
		case page, entry:
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Security-Policy", pagePolicy(""))
			if rt.kind == entry && r.Method == http.MethodHead { // it would issue a code, or sign out
				h.Set("Allow", "GET, POST")
				s.fail(w, r, page, errMethod)
				return
			}
			if rt.kind == page {
				if err := s.sameSite.Check(r); err != nil {
					s.fail(w, r, page, errCrossSite)
					return
				}
			}
		case internal, management:
			h.Set("Cache-Control", "no-store")
		case direct:
			h.Set("Cache-Control", "no-store")
			h.Set("Access-Control-Allow-Origin", "*")
		case public:
			h.Set("Access-Control-Allow-Origin", "*")
		}
		if err := rt.serve(s, w, r); err != nil {
			s.fail(w, r, rt.kind, err)
		}
	})
}

// pagePolicy is the content security policy of a page whose form may end in a
// redirect to the given origin: browsers hold form-action against redirects too
// (SECURITY E03).
func pagePolicy(formAction string) string {
	if formAction != "" {
		formAction = " " + formAction
	}
	return "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; font-src 'self'; connect-src 'self'; " +
		"form-action 'self'" + formAction + "; base-uri 'none'; frame-ancestors 'none'"
}

// preflight answers browsers that ask before a cross-origin call. Nothing here
// looks at cookies, so every origin may (SECURITY C12).
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("endpoint") {
	case "authorize", "logout", "introspect", "register":
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
}

// logAnswer notes an error once, where it is answered: the client learns the code,
// the log the cause.
func (s *Server) logAnswer(r *http.Request, status int, code string, err error) {
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.Log(r.Context(), level, "request refused",
		"request_id", requestID(r.Context()), "method", r.Method, "path", loggedPath(r), "status", status, "code", code, "cause", err.Error())
}

// loggedPath is a request's path without what opens something (SECURITY G04).
func loggedPath(r *http.Request) string {
	for _, secret := range []struct{ folder, prefix string }{{"/setup/", "usl_"}, {"/usk_", "usk_"}, {"/impersonate/", linkPrefix}, {"/impersonate/", provider.PrefixTicket}} {
		if strings.HasPrefix(r.URL.Path, secret.folder) {
			return secret.folder + "{token}"
		}
		// Whatever a proxy or a person made of its address.
		if path, _, found := strings.Cut(r.URL.Path, secret.prefix); found {
			return path + "{token}"
		}
	}
	return r.URL.Path
}
