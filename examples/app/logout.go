package app

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

func (a *app) logout(w http.ResponseWriter, r *http.Request) error {
	return a.leave(w, r, "/")
}

// stop ends the acting. It is a logout with the ID token of the person acted as,
// by which the provider knows to stop that and nothing else; on return we sign in
// again, and staff are themselves.
func (a *app) stop(w http.ResponseWriter, r *http.Request) error {
	if _, s := a.memory.session(r); s == nil || s.acting == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return a.leave(w, r, "/login?silent=1")
}

// leave signs out here first, then at the provider (OIDC RP-Initiated Logout).
func (a *app) leave(w http.ResponseWriter, r *http.Request, next string) error {
	id, s := a.memory.session(r)
	a.memory.end(id)
	a.setCookie(w, sessionCookie, "", -1)
	p, err := a.provider(r)
	if err != nil {
		return err
	}
	if s == nil || p.meta.EndSession == "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	end, err := url.Parse(p.meta.EndSession)
	if err != nil {
		return err
	}
	query := end.Query()
	query.Set("id_token_hint", s.idToken)
	query.Set("post_logout_redirect_uri", a.BaseURL+"/")
	if state, ok := a.memory.depart(trip{browser: a.browser(w, r), next: next, logout: true}); ok {
		query.Set("state", state)
	}
	end.RawQuery = query.Encode()
	http.Redirect(w, r, end.String(), http.StatusSeeOther)
	return nil
}

// backchannelLogout ends sessions that the provider ended (OIDC Back-Channel
// Logout section 2.6): a stop, an expiry or a kill switch reaches us at once. A
// replayed token finds nothing left to end, so its jti is not kept.
func (a *app) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	t, err := a.logoutToken(r)
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	a.memory.endAt(t.SessionID, t.Subject)
}

// logoutToken returns the request's token once it is verified. go-oidc checks the
// signature, iss, aud, exp, events and that there is no nonce; the type, which
// keeps other tokens of the same issuer from passing, is left to us.
func (a *app) logoutToken(r *http.Request) (*oidc.LogoutToken, error) {
	raw := r.PostFormValue("logout_token")
	header, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return nil, err
	}
	var h struct{ Typ string }
	if err := json.Unmarshal(decoded, &h); err != nil {
		return nil, err
	}
	if strings.TrimPrefix(strings.ToLower(h.Typ), "application/") != "logout+jwt" {
		return nil, errors.New("typ is not logout+jwt")
	}
	p, err := a.provider(r)
	if err != nil {
		return nil, err
	}
	return p.verifier.VerifyLogout(a.calling(r), raw)
}
