package handlers

import (
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// dialectSession is what other vendors call a session: a sign-in of a user, or an
// impersonation in which somebody acts as them. One of the two is not nil.
type dialectSession struct {
	login  *storage.LoginSession
	acting *storage.Impersonation
}

// sessionsOf returns the sessions of a user that are live, the impersonations first:
// those of the application that the call's key speaks for, or of all where it speaks for
// none.
func (s *Server) sessionsOf(r *http.Request, call *dialectCall, userID string) ([]dialectSession, error) {
	u, err := s.dialectUser(r, call, userID)
	if err != nil {
		return nil, err
	}
	if !call.Standing.MayAnywhere(impersonation.PermissionRead) { // half of them would be none
		return nil, &problemErr{Code: "insufficient_permission", Detail: "The key needs the permission " + impersonation.PermissionRead + "."}
	}
	page := storage.ImpersonationPage{Subject: u.ID, Organization: call.Organization, Running: true, Limit: 100}
	if call.ClientID != call.ID {
		page.Client = call.ClientID
	}
	acting, _, err := s.store.ImpersonationPage(r.Context(), page, call.now)
	if err != nil {
		return nil, err
	}
	logins, err := s.store.LiveLogins(r.Context(), u.ID, call.now)
	if err != nil {
		return nil, err
	}
	var all []dialectSession
	for i := range acting {
		all = append(all, dialectSession{acting: &acting[i]})
	}
	for i := range logins {
		all = append(all, dialectSession{login: &logins[i]})
	}
	return all, nil
}

// sessionNamed returns a session by the sid of its tokens, over which the call's key
// holds a permission. A sign-in that has ended is not there.
func (s *Server) sessionNamed(r *http.Request, call *dialectCall, id, permission string) (*dialectSession, error) {
	if !acceptableID(id) {
		return nil, storage.ErrNotFound
	}
	in := call.operation(r)
	if isImpersonation(id) {
		i, err := apiServer{s}.reachableImpersonation(in, id, permission)
		return &dialectSession{acting: i}, err
	}
	login, err := s.store.LoginNamed(in, id, call.now)
	if err != nil {
		return nil, err
	}
	_, err = s.dialectUser(r, call, login.UserID)
	return &dialectSession{login: login}, err
}

// revokeSession ends a session: an impersonation with all that came of it, or a sign-in, and
// with that the user is signed out of every application. It returns how it is then.
func (s *Server) revokeSession(r *http.Request, call *dialectCall, id string) (*dialectSession, error) {
	session, err := s.sessionNamed(r, call, id, impersonation.PermissionStopAny)
	if err != nil {
		return nil, err
	}
	in, by := call.operation(r), call.by()
	if session.login != nil {
		if !call.Standing.MayAnywhere(provider.PermissionUsersWrite) {
			return nil, &problemErr{Code: "insufficient_permission", Detail: "The key needs the permission " + provider.PermissionUsersWrite + " to end what is no impersonation."}
		}
		session.login.RevokedAt = storage.At(call.now)
		return session, s.provider.Directory().For(call.Caller).EndSignIn(in, session.login.UserID, id, by, call.now)
	}
	by.Reason = storage.EndStopped
	if err := s.provider.Impersonation.End(in, id, by, call.now); err != nil {
		return nil, err
	}
	return s.sessionNamed(r, call, id, impersonation.PermissionStopAny)
}

// isImpersonation reports whether the sid of a token is that of an impersonation.
func isImpersonation(sid string) bool { return strings.HasPrefix(sid, "imp_") }
