package handlers

import (
	"cmp"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
)

// auth0 is what auth0 2.x asks. Its token is an API key, or an access token that a
// client got for itself.
func auth0() dialect {
	return dialect{
		name: "auth0",
		refuse: func(e refusal) any {
			return struct {
				StatusCode       int    `json:"statusCode"`
				Error            string `json:"error"`
				ErrorDescription string `json:"error_description"`
				Message          string `json:"message"`
			}{e.Status, e.Code, e.Message, e.Message}
		},
		rows: []dialectRoute{
			{"POST /users/{user}/impersonate", impersonation.PermissionStart, (*Server).auth0Impersonate},
			{"POST /oauth/token", open, (*Server).auth0Token},
			{"GET /api/v2/users", impersonation.PermissionUsersRead, (*Server).auth0Users},
			{"GET /api/v2/users/{user}", impersonation.PermissionUsersRead, (*Server).auth0User},
			{"GET /api/v2/users-by-email", impersonation.PermissionUsersRead, (*Server).auth0ByEmail},
			{"GET /userinfo", open, (*Server).auth0Userinfo},
		},
		besides: []string{"/api/v2/", "/dbconnections/", "/oauth/", "/passwordless/", "/delegation", "/tokeninfo"},
	}
}

// auth0Modes are Auth0's names of response modes, which are methods there. By GET it is
// what suits the response type.
var auth0Modes = map[string]string{"": "", "get": "", "post": "form_post", "query": "query", "fragment": "fragment", "form_post": "form_post"}

// auth0Parameters are what the answer looks like, why it is asked for, and where. The
// SDK hands on whatever is among them.
type auth0Parameters struct {
	ResponseType string `json:"response_type"`
	ResponseMode string `json:"response_mode"`
	State        string `json:"state"`
	Scope        string `json:"scope"`
	CallbackURL  string `json:"callback_url"`
	Organization string `json:"organization"`
	Reason       string `json:"reason"`
	TicketRef    string `json:"ticket_ref"`
}

// auth0Impersonate answers with a link that works once, as the whole body.
func (s *Server) auth0Impersonate(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		Protocol     string          `json:"protocol"`
		Impersonator string          `json:"impersonator_id"`
		ClientID     string          `json:"client_id"`
		Client       string          `json:"clientID"` // a setting that the SDK hands on
		Parameters   auth0Parameters `json:"additionalParameters"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	if q.Protocol != "oauth2" {
		return invalidField("protocol", "oauth2 is the only one here")
	}
	asked := q.Parameters
	mode, known := auth0Modes[strings.ToLower(asked.ResponseMode)]
	if !known {
		return invalidField("additionalParameters.response_mode", "want GET, POST, query, fragment or form_post")
	}
	c, err := s.clientFor(r, call, cmp.Or(q.ClientID, q.Client))
	if err != nil {
		return err
	}
	if c.Delivery != provider.DeliveryCallback {
		return &problemErr{Code: "not_permitted", Detail: fmt.Sprintf("The application %q takes no answer that it did not ask for. Register it with --delivery callback, and read what that means.", c.ID)}
	}
	responseType, scope := asked.ResponseType, cmp.Or(asked.Scope, "openid")
	if responseType == "token" {
		// Which gives an ID token, too, where the scope is openid. By itself it signs nobody in.
		responseType, scope = "id_token token", strings.Join(append([]string{"openid"}, slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return s == "openid" })...), " ")
	}
	call.as = "Auth0's users.impersonate"
	_, token, err := s.bearerTicket(r, call, provider.TicketRequest{
		ActorID: q.Impersonator, SubjectID: r.PathValue("user"), Client: c, Organization: asked.Organization,
		Reason: asked.Reason, TicketRef: asked.TicketRef, ExpiresIn: impersonation.TicketLifetime,
		Callback: provider.CallbackChoice{
			RedirectURI: asked.CallbackURL, ResponseType: responseType, ResponseMode: mode, State: asked.State, Scope: scope,
		},
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s.ticketURL(token)) //nolint:gosec // an address of ours, as plain text; whoever asked may have left
	return nil
}

// auth0Token is the token endpoint under Auth0's name, which takes JSON as well.
func (s *Server) auth0Token(w http.ResponseWriter, r *http.Request, _ *dialectCall) error {
	form, err := formOrWords(r)
	if err != nil {
		return err
	}
	answer, err := s.provider.Auth0Token(r, form, s.info(r))
	if err != nil {
		return provider.AsError(err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// formOrWords reads the parameters of a request, which are a form or texts in JSON.
func formOrWords(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, &problemErr{Code: "invalid_request", Detail: "Send the parameters in the body, not in the query."}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		if err := r.ParseForm(); err != nil {
			return nil, bodyRefused(err)
		}
		return r.PostForm, nil
	}
	var words map[string]any
	if err := readWords(r, &words); err != nil {
		return nil, err
	}
	form := url.Values{}
	for name, value := range words {
		switch value := value.(type) {
		case nil:
		case string:
			form.Set(name, value)
		default:
			return nil, invalidField(name, "is not a text")
		}
	}
	return form, nil
}

// auth0Userinfo is userinfo with what a profile of Auth0's says of whoever acts.
func (s *Server) auth0Userinfo(w http.ResponseWriter, r *http.Request, _ *dialectCall) error {
	claims, actor, sub, err := s.provider.UserinfoWithActor(r)
	if err != nil {
		return err
	}
	if actor != nil {
		claims["impersonated"] = true
		claims["impersonator"] = map[string]string{"user_id": sub, "email": actor.Email}
	}
	writeJSON(w, http.StatusOK, claims)
	return nil
}
