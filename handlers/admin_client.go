package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// client shows an application.
func (s *Server) client(w http.ResponseWriter, r *http.Request, st *staff) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	return s.showClient(w, r, st, c, http.StatusOK)
}

func (s *Server) showClient(w http.ResponseWriter, r *http.Request, st *staff, c *storage.Client, status int, problems ...templates.FieldError) error {
	p := templates.ClientPage{
		Page: s.consoleFrame(r, st), Client: s.clientTab(st, c, ""), Facts: factsOf(c),
		MayWrite: st.may("clients:write"), MustConfirm: s.mustConfirm(st.Login),
		Secret:    templates.SecretState{Has: c.SecretHash != nil, HasPrevious: c.PreviousSecretHash != nil},
		LogoutURI: c.BackchannelLogoutURI, Logout: logoutTest(r), SelfRegistered: c.RegisteredWith != "" && !c.FirstParty, Errors: problems,
	}
	return s.pages.Client(w, status, p)
}

// factsOf is what is known of a client, what is empty left out.
func factsOf(c *storage.Client) []templates.Fact {
	yes := func(is bool) []string { return []string{map[bool]string{true: "Yes", false: "No"}[is]} }
	one := func(text string) []string {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	facts := []templates.Fact{
		{Label: "Client id", Values: one(c.ID), Code: true},
		{Label: "Type", Values: one(clientTypes[c.Type])},
		{Label: "How it authenticates", Values: one(c.TokenEndpointAuthMethod), Code: true},
		{Label: "Redirect URIs", Values: c.RedirectURIs, Code: true},
		{Label: "Post-logout redirect URIs", Values: c.PostLogoutRedirectURIs, Code: true},
		{Label: "Initiate login URI", Values: one(c.InitiateLoginURI), Code: true},
		{Label: "Back-channel logout URI", Values: one(c.BackchannelLogoutURI), Code: true},
		{Label: "Scopes", Values: one(c.Scope), Code: true},
		{Label: "Audiences", Values: c.Audience, Code: true},
		{Label: "Organizations", Values: c.Organizations, Code: true},
		{Label: "Grant types", Values: c.GrantTypes, Code: true},
		{Label: "Response types", Values: c.ResponseTypes, Code: true},
		{Label: "Access tokens", Values: one(c.AccessTokenFormat), Code: true},
	}
	facts = slices.DeleteFunc(facts, func(f templates.Fact) bool { return len(f.Values) == 0 })
	facts = append(facts,
		templates.Fact{Label: "It is one of ours", Values: yes(c.FirstParty)},
		templates.Fact{Label: "Staff may sign in to it as one of its users", Values: yes(c.AllowImpersonation)},
	)
	if c.AllowImpersonation {
		facts = append(facts, templates.Fact{Label: "How the console hands over", Values: one(deliveries[c.Delivery])})
	}
	return facts
}

// clientSettings and clientActing are the two forms that change a client.
func (s *Server) clientSettings(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.clientFormPage(w, r, st, false)
}

func (s *Server) clientActing(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.clientFormPage(w, r, st, true)
}

func (s *Server) clientFormPage(w http.ResponseWriter, r *http.Request, st *staff, acting bool) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	return s.showClientForm(w, r, st, acting, http.StatusOK, clientForm(r.URL.Path, groupsOf(acting), c, nil, nil), c, "")
}

func groupsOf(acting bool) []clientGroup {
	if acting {
		return actingGroups
	}
	return settingsGroups
}

func (s *Server) showClientForm(
	w http.ResponseWriter, r *http.Request, st *staff, acting bool, status int, form templates.Form, c *storage.Client, password string,
) error {
	p := templates.ClientFormPage{Page: s.consoleFrame(r, st), Client: s.clientTab(st, c, "/settings"), Title: "Settings", Acting: acting, Form: form}
	p.Form.Groups = append(p.Form.Groups, s.confirmGroup(st.Login, "password", password)...)
	if acting {
		p.Title, p.Client = "Signing in as", s.clientTab(st, c, "/acting")
		p.Bar = `<script src="` + s.provider.Issuer() + `/staff-bar.js" defer></script>` + "\n" +
			`<staff-bar user="Ada Lovelace" actor="Sam Support" expires="2026-11-21T14:32:00Z" stop="/auth/stop"></staff-bar>`
	}
	return s.pages.ClientForm(w, status, p)
}

func (s *Server) saveClientSettings(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.saveClient(w, r, st, false)
}

func (s *Server) saveClientActing(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.saveClient(w, r, st, true)
}

// saveClient changes what a client is, where its tokens go or who may be whom at it,
// each of which is worth a password.
func (s *Server) saveClient(w http.ResponseWriter, r *http.Request, st *staff, acting bool) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	was, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	c := *was
	again := func(status int, password string, problems ...provider.Problem) error {
		c.Version = was.Version
		shown := clientForm(r.URL.Path, groupsOf(acting), &c, form, problems)
		return s.showClientForm(w, r, st, acting, status, shown, was, password)
	}
	problems, err := s.readClient(r.Context(), groupsOf(acting), form, &c)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return again(http.StatusBadRequest, "", problems...)
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		return again(http.StatusForbidden, message)
	}
	// What it is at decides, not what it was when this read it: Update compares.
	if c.Version, err = strconv.ParseInt(form.Get("version"), 10, 64); err != nil {
		c.Version = 0
	}
	secret, err := s.registrar(st).Update(r.Context(), &c, s.by(r, st.Login), time.Now())
	if errors.Is(err, storage.ErrSpent) {
		if was, err = s.consoleClient(r); err != nil {
			return err
		}
		return again(http.StatusConflict, "", provider.Problem{
			Message: "Somebody changed this application while you did. What you typed is still here: save again to put it in place of theirs, or open the page anew to see it.",
		})
	}
	if err != nil {
		return clientErr(err)
	}
	if secret != "" {
		s.handOver(w, st, shownSecret{Client: c.ID, Secret: secret})
		redirect(w, clientPath(c.ID)+"/secret")
		return nil
	}
	redirect(w, r.URL.EscapedPath()+"?done=client-saved")
	return nil
}

// rotateSecret gives a client a new secret; the present one works on.
func (s *Server) rotateSecret(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.dangerous(w, r, st, "rotate_password", nil, func(c *storage.Client) error {
		if c.SecretHash == nil {
			return &pageErr{Status: http.StatusConflict, Code: "no_secret", Message: "This application has no secret."}
		}
		secret, err := s.registrar(st).RotateSecret(r.Context(), c.ID, true, s.by(r, st.Login), time.Now())
		if err != nil {
			return err
		}
		s.handOver(w, st, shownSecret{Client: c.ID, Secret: secret, Kept: true})
		redirect(w, clientPath(c.ID)+"/secret")
		return nil
	})
}

// deleteClient removes a client whose id was typed.
func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request, st *staff) error {
	typed := func(form url.Values, c *storage.Client) *templates.FieldError {
		if strings.TrimSpace(form.Get("id")) == c.ID {
			return nil
		}
		return &templates.FieldError{Field: "delete_id", Message: "Type the id of this application to delete it."}
	}
	return s.dangerous(w, r, st, "delete_password", typed, func(c *storage.Client) error {
		if err := s.registrar(st).Delete(r.Context(), c.ID, s.by(r, st.Login), time.Now()); err != nil {
			return err
		}
		redirect(w, "/admin/clients?done=client-deleted")
		return nil
	})
}

// dangerous does to a client what a form says, once that is as it should be and the
// person has confirmed it.
func (s *Server) dangerous(
	w http.ResponseWriter, r *http.Request, st *staff, passwordField string,
	check func(url.Values, *storage.Client) *templates.FieldError, do func(*storage.Client) error,
) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	if check != nil {
		if problem := check(form, c); problem != nil {
			return s.showClient(w, r, st, c, http.StatusBadRequest, *problem)
		}
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		return s.showClient(w, r, st, c, http.StatusForbidden, templates.FieldError{Field: passwordField, Message: message})
	}
	return clientErr(do(c))
}

// dropSecret ends the secret from before the last rotation.
func (s *Server) dropSecret(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.changeClient(w, r, "secret-dropped", func(c *storage.Client) error {
		return s.registrar(st).DropPreviousSecret(r.Context(), c.ID, s.by(r, st.Login), time.Now())
	})
}

func (s *Server) disableClient(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.setClientStatus(w, r, st, storage.ClientDisabled, "client-disabled")
}

func (s *Server) enableClient(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.setClientStatus(w, r, st, storage.ClientActive, "client-enabled")
}

func (s *Server) setClientStatus(w http.ResponseWriter, r *http.Request, st *staff, status storage.ClientStatus, done string) error {
	return s.dangerous(w, r, st, "status_password", nil, func(c *storage.Client) error {
		if err := s.registrar(st).SetStatus(r.Context(), c.ID, status, s.by(r, st.Login), time.Now()); err != nil {
			return err
		}
		redirect(w, clientPath(c.ID)+"?done="+done)
		return nil
	})
}

// changeClient does something to a client and says so on its page.
func (s *Server) changeClient(w http.ResponseWriter, r *http.Request, done string, do func(*storage.Client) error) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	if err := do(c); err != nil {
		return clientErr(err)
	}
	redirect(w, clientPath(c.ID)+"?done="+done)
	return nil
}

// testLogout sends a client a logout token of a session that never was.
func (s *Server) testLogout(w http.ResponseWriter, r *http.Request, st *staff) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	now := time.Now()
	status, err := s.provider.TestLogout(r.Context(), c.ID, s.by(r, st.Login), now)
	if wait, ok := throttled(err); ok {
		return &pageErr{
			Status: http.StatusTooManyRequests, Code: "too_many_requests", Message: "This application was sent enough tests for the moment.",
			BackURL: clientPath(c.ID), BackLabel: "Back", RetryAfter: wait.Until.Sub(now), Cause: err,
		}
	}
	if err != nil {
		return clientErr(err)
	}
	redirect(w, clientPath(c.ID)+"?logout="+strconv.Itoa(status)+"#logout")
	return nil
}

// logoutTest is what came of a test, by the logout parameter: the status of the answer,
// zero for none.
func logoutTest(r *http.Request) templates.LogoutTest {
	text := r.URL.Query().Get("logout")
	status, err := strconv.Atoi(text)
	if err != nil || status != 0 && (status < 100 || status > 599) {
		return templates.LogoutTest{}
	}
	return templates.LogoutTest{Tried: true, Answered: status != 0, Good: status >= 200 && status < 300, Status: status}
}

// clientPreview shows what tokens of a client would say.
func (s *Server) clientPreview(w http.ResponseWriter, r *http.Request, st *staff) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	if !st.standing.MayAnywhere("users:read") {
		return &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "This page shows what is known of users, which you may not see."}
	}
	if len(c.ResponseTypes) == 0 {
		return errNoPage // nobody signs in to it
	}
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	subject := templates.Field{Name: "subject", Label: "User", Hint: "E-mail address or id.", Value: q.Get("subject"), Required: true}
	actor := templates.Field{Name: "actor", Label: "Member of staff who acts as the user", Hint: "E-mail address or id. Empty: the user signs in.", Value: q.Get("actor")}
	full := q.Get("access") == string(impersonation.Full)
	access := templates.Field{Kind: templates.FieldSelect, Name: "access", Label: "Access", Choices: []templates.Choice{
		{Value: string(impersonation.ReadOnly), Label: "Read only", Chosen: !full}, {Value: string(impersonation.Full), Label: "Full", Chosen: full},
	}}
	p := templates.ClientPreviewPage{Page: s.consoleFrame(r, st), Client: s.clientTab(st, c, "/preview")}
	status := http.StatusOK
	if subject.Value != "" {
		if status, err = s.preview(r, st, c, &p, &subject, &actor, full); err != nil {
			return err
		}
	}
	p.Form = templates.Form{Action: clientPath(c.ID) + "/preview", Groups: []templates.FieldGroup{{Fields: []templates.Field{subject, actor, access}}}}
	return s.pages.ClientPreview(w, status, p)
}

// preview fills the page. A user whom the person may not see is as good as none.
func (s *Server) preview(
	r *http.Request, st *staff, c *storage.Client, p *templates.ClientPreviewPage, subject, actor *templates.Field, full bool,
) (status int, err error) {
	as := map[*templates.Field]*storage.User{}
	status = http.StatusOK
	for _, field := range []*templates.Field{subject, actor} {
		if field.Value == "" {
			continue
		}
		u, _, err := s.visibleUser(r, st, "users:read", field.Value)
		if errors.Is(err, storage.ErrNotFound) {
			field.Error, status = "There is no such user.", http.StatusNotFound
			continue
		}
		if err != nil {
			return 0, err
		}
		as[field] = u
	}
	if status != http.StatusOK {
		return status, nil
	}
	organization := ""
	if as[actor] != nil {
		if organization, err = s.onlyOrganization(r, as[subject].ID); err != nil {
			return 0, err
		}
	}
	access := impersonation.ReadOnly
	if full {
		access = impersonation.Full
	}
	claims, err := s.provider.Preview(r.Context(), c, as[subject], as[actor], organization, access, time.Now())
	if err != nil {
		return 0, err
	}
	p.Computed, p.SubjectName = true, as[subject].DisplayName()
	if as[actor] != nil {
		p.ActorName = as[actor].DisplayName()
	}
	p.IDToken, p.AccessToken = indented(claims.IDToken), indented(claims.AccessToken)
	return http.StatusOK, nil
}

// onlyOrganization is for which organization somebody acts as a user of one.
func (s *Server) onlyOrganization(r *http.Request, userID string) (string, error) {
	of, err := s.store.MembershipsOf(r.Context(), userID)
	if err != nil || len(of) != 1 {
		return "", err
	}
	return of[0].OrganizationID, nil
}

// visibleUser returns the user whom somebody names by id or e-mail address, if they
// hold the permission over them. storage.ErrNotFound: there is none.
func (s *Server) visibleUser(r *http.Request, st *staff, permission, idOrEmail string) (*storage.User, storage.Standing, error) {
	u, err := s.store.FindUser(r.Context(), strings.TrimSpace(idOrEmail))
	if err != nil {
		return nil, storage.Standing{}, err
	}
	standing, err := s.store.Standing(r.Context(), u.ID)
	if err != nil {
		return nil, standing, err
	}
	if u.Deleted() || !st.reaches(permission, standing) {
		return nil, standing, storage.ErrNotFound
	}
	return u, standing, nil
}

// indented spells JSON over several lines.
func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Indent(&b, raw, "", "  ") != nil {
		return ""
	}
	return b.String()
}
