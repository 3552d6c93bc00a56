package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// descope is what @descope/node-sdk asks. Its project is a client of ours, its
// management key an API key, a tenant an organization, and the consent to impersonation
// is support access.
func descope() dialect {
	return dialect{
		name: "descope",
		key: func(r *http.Request) (string, error) {
			_, key, err := descopeBearer(r)
			return key, err
		},
		refuse: func(e refusal) any {
			return struct {
				Code        string `json:"errorCode"`
				Description string `json:"errorDescription"`
				Message     string `json:"errorMessage"`
			}{e.Code, http.StatusText(e.Status), e.Message}
		},
		rows: []dialectRoute{
			{"GET /v1/mgmt/license", impersonation.PermissionStart, (*Server).descopeLicense},
			{"POST /v1/mgmt/impersonate", impersonation.PermissionStart, (*Server).descopeImpersonate},
			{"POST /v1/mgmt/stop/impersonation", impersonation.PermissionStart, (*Server).descopeStop},
			{"POST /v1/mgmt/user/update/impersonationConsent", provider.PermissionUsersWrite, (*Server).descopeSetConsent},
			{"GET /v1/mgmt/user", impersonation.PermissionUsersRead, (*Server).descopeLoad},
			{"POST /v1/mgmt/users/load", impersonation.PermissionUsersRead, (*Server).descopeLoadAll},
			{"POST /v1/mgmt/user/search", impersonation.PermissionUsersRead, (*Server).descopeSearch},
			{"POST /v2/mgmt/user/search", impersonation.PermissionUsersRead, (*Server).descopeSearch},
			{"POST /v1/mgmt/impersonate/stepup", impersonation.PermissionStart, (*Server).descopeStepUp},
			{"POST /v1/auth/refresh", open, (*Server).descopeRefresh},
			{"POST /v1/auth/logout", open, (*Server).descopeLogout},
			{"GET /v1/auth/me", open, (*Server).descopeMe},
			{"GET /v2/keys/{project}", open, (*Server).dialectKeys},
		},
		besides: []string{"/v1/mgmt/", "/v1/auth/", "/v2/mgmt/", "/v2/auth/"},
	}
}

// descopeBearer returns both parts of Authorization: Bearer project:key.
func descopeBearer(r *http.Request) (project, key string, err error) {
	both, err := bearerKey(r)
	if err != nil {
		return "", "", err
	}
	// A client's id may have colons; a key and a JWT have none.
	at := strings.LastIndex(both, ":")
	if at < 0 {
		return "", "", errNoKey
	}
	return both[:at], both[at+1:], nil
}

// descopeClient returns the client that a call's project is.
func (s *Server) descopeClient(r *http.Request, call *dialectCall) (*storage.Client, error) {
	project, _, err := descopeBearer(r)
	if err != nil {
		return nil, err
	}
	return s.clientFor(r, call, project)
}

// descopeLicense answers what the SDK asks first, and does without.
func (s *Server) descopeLicense(w http.ResponseWriter, _ *http.Request, _ *dialectCall) error {
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// descopeReason is the custom claim that is no claim, but why somebody acts: the SDK
// has no other place for it. descopeTicket is the ticket reference.
const (
	descopeReason = "impersonation_reason"
	descopeTicket = "impersonation_ticket"
)

// descopeImpersonate starts an impersonation and answers with the user's refresh JWT.
func (s *Server) descopeImpersonate(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		Impersonator    string         `json:"impersonatorId"`
		LoginID         string         `json:"loginId"`
		ValidateConsent bool           `json:"validateConsent"`
		CustomClaims    map[string]any `json:"customClaims"`
		SelectedTenant  string         `json:"selectedTenant"`
		RefreshDuration int64          `json:"refreshDuration"` // seconds
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	c, err := s.descopeClient(r, call)
	if err != nil {
		return err
	}
	call.as = "Descope's impersonate"
	ask := impersonation.Ask{
		Client: c, Organization: q.SelectedTenant, Access: impersonation.Full, Entry: "api", RequireSupportAccess: q.ValidateConsent,
	}
	if ask.Actor, err = s.named(r, q.Impersonator); err != nil {
		return err
	}
	subject, err := s.named(r, q.LoginID)
	if err != nil {
		return err
	}
	given, err := takeText(q.CustomClaims, descopeReason)
	if err != nil {
		return err
	}
	if ask.TicketRef, err = takeText(q.CustomClaims, descopeTicket); err != nil {
		return err
	}
	if ask.Duration, err = secondsIn("refreshDuration", q.RefreshDuration); err != nil {
		return err
	}
	vouches := call.vouches()
	ask.Caller, ask.SubjectID = &vouches, subject.ID
	ask.Reason, ask.Words = s.reason(call, given)
	token, err := s.provider.DescopeImpersonate(r.Context(), ask, q.CustomClaims, call.request, call.now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, descopeAnswer{token})
	return nil
}

type descopeAnswer struct {
	JWT string `json:"jwt"`
}

// descopeStop ends the impersonation of a refresh JWT and answers with the actor's own.
func (s *Server) descopeStop(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		JWT             string         `json:"jwt"`
		CustomClaims    map[string]any `json:"customClaims"`
		SelectedTenant  string         `json:"selectedTenant"`
		RefreshDuration int64          `json:"refreshDuration"` // seconds
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	c, err := s.descopeClient(r, call)
	if err != nil {
		return err
	}
	lives, err := secondsIn("refreshDuration", q.RefreshDuration)
	if err != nil {
		return err
	}
	token, err := s.provider.DescopeStop(r.Context(), c, q.JWT, q.SelectedTenant, q.CustomClaims, lives, call.vouches(), call.request, call.now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, descopeAnswer{token})
	return nil
}

// descopeConsent is for how long a consent holds: Descope's has no end, ours has.
const descopeConsent = 7 * 24 * time.Hour

// descopeSetConsent says in a user's place whether staff may act as them.
func (s *Server) descopeSetConsent(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		LoginID string `json:"loginId"`
		Consent *bool  `json:"impersonationConsent"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	if _, err := s.descopeClient(r, call); err != nil {
		return err
	}
	if q.Consent == nil {
		return invalidField("impersonationConsent", "is missing")
	}
	user, err := s.named(r, q.LoginID)
	if err != nil {
		return err
	}
	if _, err := (apiServer{s}).reachableUser(call.operation(r), user.ID); err != nil {
		return err // out of reach is as good as unknown
	}
	choice := impersonation.SupportChoice{Mode: storage.SupportDenied}
	if *q.Consent {
		choice = impersonation.SupportChoice{Mode: storage.SupportUntil, For: descopeConsent}
	}
	err = s.provider.Directory().For(call.Caller).SetSupportAccess(r.Context(), s.provider.Impersonation, user.ID, choice, call.by(), call.now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// descopeHolder returns the refresh JWT of a request, which is the credential, and the
// client that it is of.
func (s *Server) descopeHolder(r *http.Request, call *dialectCall) (*storage.Client, string, error) {
	_, token, err := descopeBearer(r)
	if err != nil {
		return nil, "", err
	}
	call.Caller = &provider.Caller{} // nobody: the JWT is what counts
	c, err := s.descopeClient(r, call)
	return c, token, err
}

// descopeRefresh gives a session JWT for a refresh JWT.
func (s *Server) descopeRefresh(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	c, token, err := s.descopeHolder(r, call)
	if err != nil {
		return err
	}
	session, err := s.provider.DescopeRefresh(r.Context(), c, token, call.request, call.now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		SessionJWT string `json:"sessionJwt"`
		RefreshJWT string `json:"refreshJwt"`
	}{session, token})
	return nil
}

// descopeLogout ends what a refresh JWT is of.
func (s *Server) descopeLogout(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	c, token, err := s.descopeHolder(r, call)
	if err != nil {
		return err
	}
	if err := s.provider.DescopeLogout(r.Context(), c, token, call.request, call.now); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// descopeStepUp refuses to say of a user that they showed something more.
func (s *Server) descopeStepUp(http.ResponseWriter, *http.Request, *dialectCall) error {
	return &problemErr{Code: "not_permitted", Detail: "A JWT of somebody who acts as a user never says that the user has stepped up: they showed nothing. Call impersonate."}
}

// named returns the user whom a login id names, by id or by e-mail address. One who is
// not there has that id, and nothing else: the rules know what to say.
func (s *Server) named(r *http.Request, loginID string) (*storage.User, error) {
	if !acceptableID(loginID) {
		return &storage.User{}, nil
	}
	u, err := s.store.FindUser(r.Context(), loginID)
	if errors.Is(err, storage.ErrNotFound) {
		return &storage.User{ID: loginID}, nil
	}
	return u, err
}

// takeText takes a text out of custom claims, empty where there is none.
func takeText(claims map[string]any, name string) (string, error) {
	value, ok := claims[name]
	if !ok {
		return "", nil
	}
	delete(claims, name)
	text, ok := value.(string)
	if !ok {
		return "", invalidField("customClaims."+name, "is not a text")
	}
	return text, nil
}

// secondsIn reads a duration, zero where there is none.
func secondsIn(field string, n int64) (time.Duration, error) {
	if n < 0 || n > 24*3600 {
		return 0, invalidField(field, "is not a number of seconds of one day")
	}
	return time.Duration(n) * time.Second, nil
}
