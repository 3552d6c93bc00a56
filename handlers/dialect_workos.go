package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// workos is what @workos-inc/node asks. Its API keys are ours; the client_secret of a
// token request is the key of that client.
func workos() dialect {
	return dialect{
		name:   "workos",
		refuse: workosRefusal,
		rows: []dialectRoute{
			{"POST /user_management/authenticate", open, (*Server).workosAuthenticate},
			{"GET /user_management/users", impersonation.PermissionUsersRead, (*Server).workosUsers},
			{"GET /user_management/users/{user}", impersonation.PermissionUsersRead, (*Server).workosUserIs},
			{"GET /user_management/users/{user}/sessions", impersonation.PermissionUsersRead, (*Server).workosSessions},
			{"POST /user_management/sessions/revoke", impersonation.PermissionStopAny, (*Server).workosEndSession},
			{"GET /events", provider.PermissionEventsRead, (*Server).workosEvents},
			{"GET /sso/jwks/{client}", open, (*Server).dialectKeys},
		},
		besides: []string{"/user_management/", "/organizations", "/organizations/", "/sso/"},
		pages: []route{
			{"GET /user_management/authorize", entry, (*Server).workosAuthorize},
			{"GET /user_management/sessions/logout", page, (*Server).workosLogout},
			{"GET /users/{id}/details", page, (*Server).workosDetails},
		},
	}
}

// workosRefusal has what each of the SDK's exceptions reads.
func workosRefusal(e refusal) any {
	return struct {
		Code             string `json:"code"`
		Message          string `json:"message"`
		Error            string `json:"error"`
		ErrorDescription string `json:"error_description"`
	}{e.Code, e.Message, e.Code, e.Message}
}

// workosAuthorize is the authorization endpoint under WorkOS's name, which knows no
// scopes: the application gets those that it is registered for.
func (s *Server) workosAuthorize(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	form := url.Values{}
	for _, name := range []string{
		"client_id", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method", "prompt", "max_age", "login_hint", uiLocales,
	} {
		if given, ok := r.Form[name]; ok {
			form[name] = given
		}
	}
	for _, narrows := range []string{"organization_id", "connection_id"} {
		if r.Form.Has(narrows) {
			return &pageErr{
				Status: http.StatusBadRequest, Code: "invalid_request",
				Message: "The application asks for one organization or connection, which is not to be chosen here.",
				Advice:  "Its maker may ask for the provider authkit, and limit the application to organizations instead.",
			}
		}
	}
	c, err := s.store.Client(r.Context(), form.Get("client_id"))
	if err == nil {
		form.Set("scope", c.Scope)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return s.authorizeFor(w, r, form)
}

// workosAuthenticate is the token endpoint under WorkOS's name.
func (s *Server) workosAuthenticate(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Code         string `json:"code"`
		CodeVerifier string `json:"code_verifier"`
		RefreshToken string `json:"refresh_token"`
		Organization string `json:"organization_id"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	c, err := s.workosClient(w, r, call, q.ClientID, q.ClientSecret)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {q.GrantType}}
	for name, value := range map[string]string{"code": q.Code, "code_verifier": q.CodeVerifier, "refresh_token": q.RefreshToken} {
		if value != "" {
			form.Set(name, value)
		}
	}
	answer, err := s.provider.TokenFor(r.Context(), provider.TokenRequest{Client: c, Form: form, Organization: q.Organization, ActorByEmail: true}, call.request)
	if err != nil {
		return provider.AsError(err)
	}
	method := "Password"
	if answer.Acting {
		method = "Impersonation"
	}
	tokens := answer.Tokens
	writeJSON(w, http.StatusOK, struct {
		User                 workosUser `json:"user"`
		Organization         *string    `json:"organization_id"`
		AccessToken          any        `json:"access_token"`
		RefreshToken         any        `json:"refresh_token,omitempty"`
		AuthenticationMethod string     `json:"authentication_method"`
		Impersonator         any        `json:"impersonator,omitempty"`
		Impersonation        any        `json:"impersonation,omitempty"` // ours: until when
	}{
		workosUserOf(answer), unlessEmpty(answer.Organization), tokens["access_token"], tokens["refresh_token"],
		method, tokens["impersonator"], tokens["impersonation"],
	})
	return nil
}

// workosClient authenticates the client of a token request: by an API key that speaks
// for it or, where it cannot keep one, by the verifier of its code alone.
func (s *Server) workosClient(w http.ResponseWriter, r *http.Request, call *dialectCall, id, secret string) (*storage.Client, error) {
	c, err := s.store.Client(r.Context(), id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if secret == "" {
		if err == nil && c.Public() && c.Status == storage.ClientActive {
			return c, nil
		}
		return nil, errNoKey
	}
	if err := s.callsWith(w, r, call, secret, open); err != nil {
		return nil, err
	}
	switch call.ClientID { // any other would open the codes of every client
	case "":
		return nil, errNoClient
	case id:
	default:
		return nil, errOtherClient(id)
	}
	c, err = s.clientFor(r, call, id)
	if err == nil && call.Organization != "" && !slices.Equal(c.Organizations, []string{call.Organization}) {
		return nil, errLocalKey
	}
	return c, err
}

// errLocalKey is the answer to a key of one organization where people of others sign in:
// their codes are not within its reach (SECURITY F08).
var errLocalKey = &problemErr{Code: "not_permitted", Detail: "This key is of one organization, and the application is not limited to that."}

// workosLogout leads to where a session ends: an impersonation by itself, as whoever
// acts stays signed in. Both pages ask first, because anybody can send a browser here.
func (s *Server) workosLogout(w http.ResponseWriter, r *http.Request) error {
	to := "/oauth2/logout"
	if id := r.URL.Query().Get("session_id"); isImpersonation(id) {
		to = "/impersonation/stop?" + url.Values{"id": {id}}.Encode()
	}
	redirect(w, to)
	return nil
}

// workosDetails leads WorkOS's deep link to ours. It fills in nothing but the user.
func (s *Server) workosDetails(w http.ResponseWriter, r *http.Request) error {
	to := "/admin/users/" + url.PathEscape(r.PathValue("id"))
	if r.URL.Query().Get("dialog") == "impersonate" {
		to += "?dialog=impersonate"
	}
	redirect(w, to)
	return nil
}

// workosUser is a user in WorkOS's words.
type workosUser struct {
	Object            string         `json:"object"`
	ID                string         `json:"id"`
	Email             string         `json:"email"`
	EmailVerified     bool           `json:"email_verified"`
	Name              *string        `json:"name"`
	FirstName         *string        `json:"first_name"`
	LastName          *string        `json:"last_name"`
	ProfilePictureURL *string        `json:"profile_picture_url"`
	LastSignInAt      *string        `json:"last_sign_in_at"`
	Locale            *string        `json:"locale"`
	ExternalID        *string        `json:"external_id"`
	Metadata          map[string]any `json:"metadata"`
	CreatedAt         string         `json:"created_at"`
	UpdatedAt         string         `json:"updated_at"`
}

// workosUserOf is whom tokens are about, as far as the application was granted to know
// them: the address by the scope email, the rest by profile.
func workosUserOf(answer *provider.TokenAnswer) workosUser {
	user := workosUserShown(&answer.User, slices.Contains(answer.Scopes, "email"), slices.Contains(answer.Scopes, "profile"))
	user.ID = answer.Sub
	return user
}

// workosUserShown is a user in WorkOS's words, with their address and the rest where
// that may be told.
func workosUserShown(u *storage.User, email, profile bool) workosUser {
	user := workosUser{
		Object: "user", ID: u.ID, Metadata: map[string]any{}, LastSignInAt: isoTime(u.LastSignInAt),
		CreatedAt: workosTime(u.CreatedAt.Time()), UpdatedAt: workosTime(u.UpdatedAt.Time()),
	}
	if email {
		user.Email, user.EmailVerified = u.Email, u.EmailVerified
	}
	if profile {
		user.Name = unlessEmpty(u.Name)
		user.FirstName, user.LastName = firstAndLast(u)
		user.ProfilePictureURL, user.Locale = unlessEmpty(u.Picture), unlessEmpty(u.Locale)
	}
	return user
}

// workosTime is a time as JavaScript writes it.
func workosTime(t time.Time) string { return *isoTime(storage.At(t)) }
