package handlers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// clientTypes and deliveries say in words what clients are.
var (
	clientTypes = map[string]string{
		provider.ClientWeb: "Web application", provider.ClientSPA: "Single-page application",
		provider.ClientNative: "Native app", provider.ClientService: "Service",
	}
	deliveries = map[string]string{
		provider.DeliveryInitiateLogin: "Its own sign-in", provider.DeliveryCallback: "Callback", provider.DeliveryLink: "Link",
	}
)

// clients lists applications.
func (s *Server) clients(w http.ResponseWriter, r *http.Request, st *staff) error {
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	search := storage.ClientSearch{Text: q.Get("q"), Limit: pageSize}
	if search.At, err = namePlace(q); err != nil {
		return err
	}
	p := templates.ClientsPage{
		Page: s.consoleFrame(r, st), Query: search.Text, MayCreate: st.may("clients:write"),
		Types: []templates.Option{{Label: "All types"}}, States: []templates.Option{{Label: "All"}},
	}
	for _, kind := range provider.Choices("type") {
		if q.Get("type") == kind {
			search.Type = kind
		}
		p.Types = append(p.Types, templates.Option{Value: kind, Label: clientTypes[kind], Selected: q.Get("type") == kind})
	}
	for _, status := range []struct{ value, label string }{{"active", "Active"}, {"disabled", "Disabled"}} {
		if q.Get("status") == status.value {
			search.Status = storage.ClientStatus(status.value)
		}
		p.States = append(p.States, templates.Option{Value: status.value, Label: status.label, Selected: q.Get("status") == status.value})
	}
	p.Filtered = search.Text != "" || search.Type != "" || search.Status != "" || search.At != nil
	found, more, err := s.store.SearchClients(r.Context(), search)
	if err != nil {
		return err
	}
	for _, c := range found {
		p.Rows = append(p.Rows, templates.ClientRow{
			ID: c.ID, Name: c.Name, Type: clientTypes[c.Type], Delivery: deliveries[c.Delivery],
			Disabled: c.Status != storage.ClientActive, Acting: c.AllowImpersonation,
		})
	}
	if len(found) > 0 {
		first, last := found[0], found[len(found)-1]
		p.Newer, p.Older = namePages(r, q, search.At, more, storage.NamePlace{Name: first.Name, ID: first.ID}, storage.NamePlace{Name: last.Name, ID: last.ID})
	}
	on, err := s.store.ImpersonationEnabled(r.Context())
	if err != nil {
		return err
	}
	p.SwitchedOff = !on
	return s.pages.Clients(w, http.StatusOK, p)
}

const newClientPath = "/admin/clients/new"

// newClientForm asks for what makes an application.
func (s *Server) newClientForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showNewClient(w, r, st, http.StatusOK, clientForm(newClientPath, newClientGroups, &storage.Client{Type: provider.ClientWeb}, nil, nil), "")
}

func (s *Server) showNewClient(w http.ResponseWriter, r *http.Request, st *staff, status int, form templates.Form, password string) error {
	form.Groups = append(form.Groups, s.confirmGroup(st.Login, "password", password)...)
	return s.pages.NewClient(w, status, templates.NewClientPage{Page: s.consoleFrame(r, st), Form: form})
}

// newClient makes an application and leads to what it needs. One whose scopes are
// permissions calls the API, so it is worth the password as a key is.
func (s *Server) newClient(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	c := provider.NewClient(form.Get("type"))
	defaultScope := c.Scope
	again := func(status int, typed *storage.Client, password string, problems ...provider.Problem) error {
		return s.showNewClient(w, r, st, status, clientForm(newClientPath, newClientGroups, typed, form, problems), password)
	}
	c.Status = storage.ClientActive
	readFields(newClientGroups, form, c)
	typed := *c
	if c.ID == "" {
		c.ID = storage.NewID("client")
	}
	if c.Scope == "" {
		c.Scope = defaultScope
	}
	if problems := provider.ProblemsOf(provider.ValidateClient(c)); len(problems) > 0 {
		return again(http.StatusBadRequest, &typed, "", problems...)
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		return again(http.StatusForbidden, &typed, message)
	}
	secret, err := s.registrar(st).Register(r.Context(), c, "", s.by(r, st.Login), time.Now())
	if errors.Is(err, storage.ErrExists) {
		return again(http.StatusBadRequest, &typed, "", provider.Problem{Field: "client_id", Message: "There is an application or a user with this id already."})
	}
	if err != nil {
		return clientErr(err)
	}
	s.handOver(w, st, shownSecret{Client: c.ID, Secret: secret, New: true})
	redirect(w, clientPath(c.ID)+"/secret")
	return nil
}

func (s *Server) registrar(st *staff) *provider.Registration {
	return provider.NewRegistration(s.store).For(st.standing)
}

func clientPath(id string) string { return "/admin/clients/" + url.PathEscape(id) }

// secretCookie holds a new secret until it was stored. The secret is on no page that a
// form's answer is, for that could not be loaded again without doing it again; it is in
// no address, which logs and histories keep; and the database has but its hash. So the
// browser that is to show it keeps it, out of reach of scripts and of other sites, for
// ten minutes, and it is shown only to whoever made it and as long as it is the secret.
const (
	secretCookie = "_secret"
	secretShown  = 10 * time.Minute
)

type shownSecret struct {
	Client, Secret string
	Key            string // an API key's, in place of a client's
	By             string // a user
	New            bool   // the client is
	Kept           bool   // the one before works on
}

// handOver gives the browser a secret to show.
func (s *Server) handOver(w http.ResponseWriter, st *staff, shown shownSecret) {
	shown.By = st.User.ID
	b, err := json.Marshal(shown) //nolint:gosec // it is for the browser that shows it
	if err != nil {
		panic(err) // strings
	}
	s.setSecretCookie(w, base64.RawURLEncoding.EncodeToString(b), secretShown)
}

func (s *Server) setSecretCookie(w http.ResponseWriter, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the issuer, as for the others
		Name: s.cookieName(secretCookie), Value: value, Path: "/", MaxAge: int(age / time.Second),
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// handedOver returns the secret of a client that this person may see now.
func (s *Server) handedOver(r *http.Request, st *staff, c *storage.Client) shownSecret {
	shown := s.shown(r, st, c.SecretHash)
	if shown.Client != c.ID {
		return shownSecret{}
	}
	return shown
}

// shown returns the secret in this browser, if it is the person's and has this hash; a
// nil one is of what has none.
func (s *Server) shown(r *http.Request, st *staff, hash []byte) (shown shownSecret) {
	b, err := base64.RawURLEncoding.DecodeString(s.cookie(r, secretCookie))
	if err != nil || json.Unmarshal(b, &shown) != nil || shown.By != st.User.ID {
		return shownSecret{}
	}
	if hash != nil && !bytes.Equal(storage.Hash(shown.Secret), hash) {
		return shownSecret{}
	}
	return shown
}

// clientStart shows what an application needs to begin with.
func (s *Server) clientStart(w http.ResponseWriter, r *http.Request, st *staff) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	shown := s.handedOver(r, st, c)
	p := templates.ClientSecretPage{
		Page: s.consoleFrame(r, st), ID: c.ID, Name: c.Name, Secret: shown.Secret, HasSecret: c.SecretHash != nil, New: shown.New, KeptPrevious: shown.Kept,
		Discovery: s.provider.Issuer() + "/.well-known/openid-configuration", Action: clientPath(c.ID) + "/secret/stored",
	}
	p.Settings = "ISSUER=" + s.provider.Issuer() + "\nCLIENT_ID=" + c.ID
	switch {
	case shown.Secret != "":
		p.Settings += "\nCLIENT_SECRET=" + shown.Secret
	case p.HasSecret:
		p.Settings += "\nCLIENT_SECRET="
	}
	p.Settings += "\nDISCOVERY_URL=" + p.Discovery + "\n"
	p.Snippets = templates.ClientSnippets(templates.SnippetFor{
		Issuer: s.provider.Issuer(), Secret: p.HasSecret, Service: c.Type == provider.ClientService, RedirectURIs: c.RedirectURIs, Scope: c.Scope,
	})
	return s.pages.ClientSecret(w, http.StatusOK, p)
}

// secretStored forgets the secret.
func (s *Server) secretStored(w http.ResponseWriter, r *http.Request, _ *staff) error {
	c, err := s.consoleClient(r)
	if err != nil {
		return err
	}
	s.setSecretCookie(w, "", -time.Second)
	redirect(w, clientPath(c.ID)+"?done=secret-stored")
	return nil
}

// consoleClient returns a copy of the client in the address, which may be changed.
func (s *Server) consoleClient(r *http.Request) (*storage.Client, error) {
	c, err := s.store.Queries.Client(r.Context(), r.PathValue("client"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	return c, err
}

// clientTab is what is above every page about a client; current is the end of the
// page's address.
func (s *Server) clientTab(st *staff, c *storage.Client, current string) templates.ClientTab {
	tab := templates.ClientTab{ID: c.ID, Name: c.Name, Disabled: c.Status != storage.ClientActive}
	for _, t := range []struct {
		label, end string
		shown      bool
	}{
		{"Overview", "", true},
		{"Settings", "/settings", st.may("clients:write")},
		{"Signing in as", "/acting", st.may("clients:write") && len(c.ResponseTypes) > 0},
		{"Preview", "/preview", st.standing.MayAnywhere("users:read") && len(c.ResponseTypes) > 0},
		{"To begin with", "/secret", true},
	} {
		if t.shown {
			tab.Tabs = append(tab.Tabs, templates.Section{Label: t.label, URL: clientPath(c.ID) + t.end, Current: t.end == current})
		}
	}
	return tab
}

var errMeanwhile = &pageErr{
	Status: http.StatusConflict, Code: "changed_meanwhile", Heading: "Somebody else was first",
	Message: "This application was changed at the same moment, so nothing was done.", Advice: "Open its page again and see what it is now.",
}

// clientErr is what a change of a client came to, in words for a person.
func clientErr(err error) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case errors.Is(err, storage.ErrSpent), errors.Is(err, storage.ErrReference):
		return errMeanwhile
	case errors.Is(err, provider.ErrMoreThanHeld):
		return &pageErr{
			Status: http.StatusForbidden, Code: "forbidden", Heading: "You may not change this application",
			Message: "Its scope has permissions that you do not hold, or would have them.", Cause: err,
		}
	}
	return err
}
