package handlers

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

const (
	consoleCookie = "_console"

	// The console closes after this long without use, and this long after the
	// password was shown (SECURITY D05).
	consoleIdle     = 15 * time.Minute
	consoleLifetime = 8 * time.Hour
)

// staff is somebody who works in the console.
type staff struct {
	*storage.Login
	standing storage.Standing
	acting   *templates.Acting // as whom, in this browser; nil: as nobody
}

// may reports whether they hold a permission everywhere.
func (st *staff) may(permission string) bool { return st.standing.May(permission, "") }

// within returns the organizations in which alone a permission is held. Nil: it is
// held everywhere.
func (st *staff) within(permission string) []string {
	if st.may(permission) {
		return nil
	}
	found := []string{}
	for o := range st.standing.Within {
		if st.standing.May(permission, o) {
			found = append(found, o)
		}
	}
	slices.Sort(found)
	return found
}

// reaches reports whether they hold a permission over a user of this standing:
// everywhere, or within an organization of theirs.
func (st *staff) reaches(permission string, of storage.Standing) bool {
	if st.may(permission) {
		return true
	}
	for o := range of.Within {
		if st.standing.May(permission, o) {
			return true
		}
	}
	return false
}

// by is who is behind a change, for the record.
func (s *Server) by(r *http.Request, l *storage.Login) storage.Cause {
	return storage.Cause{By: l.User.ID, Request: s.info(r)}
}

// console adapts a row of the console's table: who comes must be staff with an open
// console and the row's permission.
func (s *Server) console(rt consoleRoute) func(*Server, http.ResponseWriter, *http.Request) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin") // SECURITY E03
		l, err := s.currentLogin(r)
		if err != nil {
			return err
		}
		if l == nil {
			s.signInFirst(w, s.consoleAddress(r))
			return nil
		}
		st := &staff{Login: l}
		if st.standing, err = s.store.Standing(r.Context(), l.User.ID); err != nil {
			return err
		}
		if !s.allows(rt, st) {
			if err := s.recordRefusal(r, rt, st); err != nil {
				return err
			}
			return &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "This page is for staff who have the right to it. You do not."}
		}
		if open, err := s.openConsole(w, r, st); err != nil || !open {
			return err
		}
		if st.acting, err = s.acting(r, l); err != nil {
			return err
		}
		if st.acting != nil && r.Method == http.MethodPost && !rt.whileActing {
			return errActing(st.acting)
		}
		return rt.serve(s, w, r, st)
	}
}

// recordRefusal puts on the record that somebody without the right to it tried to
// sign in as a user. Whether there is such a user changes nothing (SECURITY A01).
func (s *Server) recordRefusal(r *http.Request, rt consoleRoute, st *staff) error {
	if rt.permission != impersonation.PermissionStart || r.Method != http.MethodPost {
		return nil
	}
	ask := impersonation.Ask{Actor: &st.User, Client: &storage.Client{}, SubjectID: r.PathValue("id"), Entry: "console"}
	return s.provider.Impersonation.Denied(r.Context(), ask, impersonation.DenyPermission, s.info(r), time.Now())
}

// allows reports whether staff may use a row.
func (s *Server) allows(rt consoleRoute, st *staff) bool {
	if rt.permission == "" {
		return slices.ContainsFunc(s.consoleRoutes, func(other consoleRoute) bool { return other.permission != "" && s.allows(other, st) })
	}
	return st.may(rt.permission) || rt.within && st.standing.MayAnywhere(rt.permission)
}

// consoleAddress is where to go on after the password was shown: the page itself, or
// the one that a form was sent from.
func (s *Server) consoleAddress(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	if from := s.cameFrom(r); from != "" {
		return from
	}
	return "/admin"
}

// openConsole reports whether the console is open in this browser, or opens it for
// somebody who has just shown their password. Where it does neither it has answered.
func (s *Server) openConsole(w http.ResponseWriter, r *http.Request, st *staff) (bool, error) {
	now := time.Now()
	if id := s.cookie(r, consoleCookie); id != "" && bytes.Equal(storage.Hash(id), st.ConsoleHash) &&
		!st.ConsoleIdleExpiresAt.Passed(now) && now.Sub(st.AuthTime.Time()) < consoleLifetime {
		return true, s.touchConsole(r.Context(), st, now)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); r.Method == http.MethodGet && (site == "cross-site" || site == "same-site") {
		// The browser keeps the console's cookie from a link on another site. It does
		// not when the page itself leads on.
		w.Header().Set("Refresh", "0; url="+r.URL.RequestURI())
		return false, s.pages.Passage(w, http.StatusOK, templates.PassagePage{Page: s.frame(r, st.Login), URL: r.URL.RequestURI()})
	}
	if r.Method != http.MethodGet || now.Sub(st.AuthTime.Time()) > consoleIdle {
		s.signInFirst(w, s.consoleAddress(r))
		return false, nil
	}
	id := provider.NewSecret("uc_")
	st.ConsoleHash, st.ConsoleIdleExpiresAt = storage.Hash(id), storage.At(now.Add(consoleIdle))
	err := s.store.Write(r.Context(), func(tx *storage.Tx) error {
		if err := tx.OpenConsole(r.Context(), &st.LoginSession); err != nil {
			return err
		}
		return tx.Record(r.Context(), storage.Event{
			Type: storage.EventConsoleOpened, ActorID: st.User.ID, SubjectID: st.User.ID, Data: storage.Data{"sid": st.SID},
		}, storage.Private{}, s.info(r), now)
	})
	if err != nil {
		return false, err
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the issuer, as for the others
		Name: s.cookieName(consoleCookie), Value: id, Path: "/", Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return true, nil
}

// touchConsole notes that the console was used, now and then.
func (s *Server) touchConsole(ctx context.Context, st *staff, now time.Time) error {
	expires := now.Add(consoleIdle)
	if expires.Sub(st.ConsoleIdleExpiresAt.Time()) < touchEvery {
		return nil
	}
	return s.store.Write(ctx, func(tx *storage.Tx) error { return tx.TouchConsole(ctx, st.IDHash, expires) })
}

// consoleFrame is what a page of the console has around its content.
func (s *Server) consoleFrame(r *http.Request, st *staff) templates.Page {
	p := s.frame(r, st.Login)
	p.Acting, p.Notice = st.acting, notice(r)
	for _, section := range consoleSections {
		to := section.url
		if to == "/admin/impersonations" && !s.opens(st, to) && st.standing.MayAnywhere(impersonation.PermissionApprove) {
			to = "/admin/impersonations/approvals" // all of it that is theirs
		}
		if s.opens(st, to) {
			p.Sections = append(p.Sections, templates.Section{Label: section.label, URL: to, Current: inSection(r.URL.Path, section.url) || section.url == "/admin/impersonations" && inSection(r.URL.Path, "/admin/approvals")})
		}
	}
	return p
}

// opens reports whether staff may open a page of the console.
func (s *Server) opens(st *staff, url string) bool {
	return slices.ContainsFunc(s.consoleRoutes, func(rt consoleRoute) bool { return rt.pattern == "GET "+url && s.allows(rt, st) })
}

// consoleSections are the entries of the console's menu, in their order.
var consoleSections = []struct{ label, url string }{
	{"Overview", "/admin"},
	{"Users", "/admin/users"},
	{"Organizations", "/admin/organizations"},
	{"Roles", "/admin/roles"},
	{"Applications", "/admin/clients"},
	{"Acting as others", "/admin/impersonations"},
	{"Policy", "/admin/policies"},
	{"Record", "/admin/events"},
	{"Webhooks", "/admin/webhooks"},
	{"Signing keys", "/admin/keys"},
	{"API keys", "/admin/api-keys"},
	{"Settings", "/admin/settings"},
}

func inSection(path, section string) bool {
	if section == "/admin" || section == "/account" {
		return path == section
	}
	return path == section || len(path) > len(section) && path[:len(section)+1] == section+"/"
}

// confirmed reports whether the person behind a form showed their password within the
// last minutes, or does so now in its field password: what is dangerous asks for that
// (SECURITY A19). The message says what is wrong, at the field.
func (s *Server) confirmed(w http.ResponseWriter, r *http.Request, l *storage.Login, password string) (bool, string, error) {
	now := time.Now()
	if !s.mustConfirm(l) {
		return true, "", nil
	}
	if password == "" {
		return false, "Confirm with your password.", nil
	}
	u, err := s.provider.CheckPassword(r.Context(), l.User.Email, password, s.info(r), now)
	if _, ok := throttled(err); ok {
		return false, "That was too many attempts. Wait a little, then try again.", nil
	}
	if wrongCredentials(err) {
		return false, "The password is not right.", nil
	}
	if err == nil {
		err = s.signIn(w, r, u)
	}
	return err == nil, "", err
}

// mustConfirm reports whether a page has to have a field for the password.
func (s *Server) mustConfirm(l *storage.Login) bool {
	return time.Since(l.AuthTime.Time()) > s.provider.Impersonation.Limits().StepUpMaxAge
}
