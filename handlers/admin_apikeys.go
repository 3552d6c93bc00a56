package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

const apiKeysPath = "/admin/api-keys"

// keyLifetime is for how long a key can be made in the console; zero has no end.
type keyLifetime struct {
	value, label string
	lifetime     time.Duration
}

// keyLifetimes are all that are offered, the first before anything is chosen.
var keyLifetimes = []keyLifetime{
	{"90", "90 days", 90 * 24 * time.Hour},
	{"30", "30 days", 30 * 24 * time.Hour},
	{"365", "A year", 365 * 24 * time.Hour},
	{"never", "Until it is revoked", 0},
}

// newKey is what was typed into the form of a new key.
type newKey struct {
	name, organization, client, lifetime string
	permissions                          map[string]bool
	problems                             map[string]string
	password                             string // what is wrong with it
}

// apiKeys lists the API keys and offers to make one.
func (s *Server) apiKeys(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showAPIKeys(w, r, st, http.StatusOK, newKey{})
}

func (s *Server) showAPIKeys(w http.ResponseWriter, r *http.Request, st *staff, status int, typed newKey) error {
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	search := storage.APIKeySearch{Limit: pageSize}
	if cursor := q.Get(afterParameter); cursor != "" {
		search.At = new(storage.Mark)
		if err := s.provider.ReadCursor(apiKeysPath, cursor, search.At); err != nil {
			return &pageErr{
				Status: http.StatusBadRequest, Code: "invalid_request", Message: "The address is malformed.",
				Advice: "Begin again at the first page of the list.", Cause: err,
			}
		}
	}
	keys, more, err := s.store.APIKeys(r.Context(), search)
	if err != nil {
		return err
	}
	p := templates.APIKeysPage{Page: s.consoleFrame(r, st), Now: time.Now(), Form: keyForm(st, typed)}
	p.Form.Groups = append(p.Form.Groups, s.confirmGroup(st.Login, "password", typed.password)...)
	if p.Rows, err = s.apiKeyRows(r, keys); err != nil {
		return err
	}
	if search.At != nil {
		p.Newer = apiKeysPath
	}
	if more {
		last := keys[len(keys)-1]
		cursor, err := s.provider.Cursor(apiKeysPath, storage.Mark{Time: last.CreatedAt, ID: last.ID})
		if err != nil {
			return err
		}
		p.Older = apiKeysPath + "?" + url.Values{afterParameter: {cursor}}.Encode()
	}
	return s.pages.APIKeys(w, status, p)
}

// keyForm is the form of a new key: it offers what the person may hand on.
func keyForm(st *staff, typed newKey) templates.Form {
	may := templates.Field{
		Kind: templates.FieldChecks, Name: "permissions", Label: "What it may do", Error: typed.problems["permissions"],
	}
	for _, permission := range provider.Permissions() {
		if st.may(permission) {
			may.Choices = append(may.Choices, templates.Choice{Value: permission, Label: permission, Chosen: typed.permissions[permission]})
		}
	}
	lifetime := templates.Field{Kind: templates.FieldSelect, Name: "lifetime", Label: "It can be used for", Error: typed.problems["lifetime"]}
	for _, l := range keyLifetimes {
		lifetime.Choices = append(lifetime.Choices, templates.Choice{Value: l.value, Label: l.label, Chosen: l.value == typed.lifetime})
	}
	return templates.Form{Action: apiKeysPath, Groups: []templates.FieldGroup{{Fields: []templates.Field{
		{Name: "name", Label: "Name", Hint: "What it is for, for those who see it here.", Value: typed.name, Required: true, Error: typed.problems["name"]},
		may,
		{Name: "organization", Label: "Only this organization", Hint: "Name or id. Empty: it reaches everything.", Value: typed.organization, Error: typed.problems["organization"]},
		{Name: "client_id", Label: "Stands in for this application", Hint: "The client id, where another product's API wants one.", Value: typed.client, Error: typed.problems["client_id"]},
		lifetime,
	}}}}
}

// createAPIKey makes a key and leads to its secret.
func (s *Server) createAPIKey(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	typed := newKey{
		name: strings.TrimSpace(form.Get("name")), organization: strings.TrimSpace(form.Get("organization")), client: strings.TrimSpace(form.Get("client_id")),
		lifetime: form.Get("lifetime"), permissions: map[string]bool{}, problems: map[string]string{},
	}
	now := time.Now()
	k := &storage.APIKey{Name: typed.name}
	for _, permission := range provider.Permissions() {
		if form.Has("permissions." + permission) {
			typed.permissions[permission] = true
			k.Permissions = append(k.Permissions, permission)
		}
	}
	chosen := slices.IndexFunc(keyLifetimes, func(l keyLifetime) bool { return l.value == typed.lifetime })
	if chosen < 0 { // and not for ever, which nobody said
		typed.problems["lifetime"] = "Choose one of these."
	} else if lifetime := keyLifetimes[chosen].lifetime; lifetime > 0 {
		k.ExpiresAt = storage.At(now.Add(lifetime))
	}
	if typed.organization != "" {
		o, err := s.organizationNamed(r, typed.organization)
		if err != nil {
			return err
		}
		if o == nil {
			typed.problems["organization"] = "There is no such organization."
		} else {
			k.OrganizationID = &o.ID
		}
	}
	if typed.client != "" {
		k.ClientID = &typed.client
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if typed.password = message; !ok || len(typed.problems) > 0 {
		return s.showAPIKeys(w, r, st, http.StatusBadRequest, typed)
	}
	secret, err := provider.NewAPIKeys(s.store).For(st.standing).Create(r.Context(), k, s.by(r, st.Login), now)
	wrong, invalid := errors.AsType[provider.Invalid](err)
	switch {
	case invalid:
		for _, problem := range provider.ProblemsOf(wrong) {
			typed.problems[problem.Field] = keyProblems[problem.Field]
		}
	case errors.Is(err, provider.ErrMayNotSpeak):
		typed.problems["client_id"] = "You may not change this application, so no key of yours stands in for it."
	case errors.Is(err, provider.ErrMoreThanHeld):
		typed.problems["permissions"] = "You do not hold all of these yourself."
	case errors.Is(err, storage.ErrReference):
		typed.problems["client_id"] = "There is no such application."
	case err != nil:
		return err
	default:
		s.handOver(w, st, shownSecret{Key: k.ID, Secret: secret})
		redirect(w, apiKeyPath(k.ID))
		return nil
	}
	return s.showAPIKeys(w, r, st, http.StatusBadRequest, typed)
}

// keyProblems are what is said of a field that cannot be.
var keyProblems = map[string]string{
	"name":        "Give it a name that is not too long.",
	"permissions": "Choose at least one permission.",
}

func apiKeyPath(id string) string { return apiKeysPath + "/" + url.PathEscape(id) }

// apiKey shows a key, and its secret to whoever has just made it.
func (s *Server) apiKey(w http.ResponseWriter, r *http.Request, st *staff) error {
	k, err := s.consoleKey(r)
	if err != nil {
		return err
	}
	rows, err := s.apiKeyRows(r, []storage.APIKey{*k})
	if err != nil {
		return err
	}
	p := templates.APIKeyPage{Page: s.consoleFrame(r, st), Key: rows[0], Issuer: s.provider.Issuer(), Now: time.Now()}
	if shown := s.shown(r, st, k.SecretHash); shown.Key == k.ID {
		p.Secret = shown.Secret
	}
	return s.pages.APIKey(w, http.StatusOK, p)
}

// keyStored forgets the secret.
func (s *Server) keyStored(w http.ResponseWriter, r *http.Request, _ *staff) error {
	k, err := s.consoleKey(r)
	if err != nil {
		return err
	}
	s.setSecretCookie(w, "", -time.Second)
	redirect(w, apiKeyPath(k.ID)+"?done=secret-stored")
	return nil
}

// revokeAPIKey ends a key.
func (s *Server) revokeAPIKey(w http.ResponseWriter, r *http.Request, st *staff) error {
	k, err := s.consoleKey(r)
	if err != nil {
		return err
	}
	if err := provider.NewAPIKeys(s.store).For(st.standing).Revoke(r.Context(), k.ID, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, apiKeyPath(k.ID)+"?done=key-revoked")
	return nil
}

// consoleKey returns the key in the address.
func (s *Server) consoleKey(r *http.Request) (*storage.APIKey, error) {
	k, err := s.store.APIKey(r.Context(), r.PathValue("key"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	return k, err
}

// apiKeyRows are keys as pages show them, with the names of whom they name.
func (s *Server) apiKeyRows(r *http.Request, keys []storage.APIKey) ([]templates.APIKeyRow, error) {
	var makers, organizations []string
	for _, k := range keys {
		makers, organizations = append(makers, k.CreatedBy), append(organizations, value(k.OrganizationID))
	}
	names, err := s.store.NamesOf(r.Context(), makers, nil, organizations)
	if err != nil {
		return nil, err
	}
	var rows []templates.APIKeyRow
	for _, k := range keys {
		rows = append(rows, templates.APIKeyRow{
			ID: k.ID, Name: k.Name, Permissions: k.Permissions, Organization: names.Organization(value(k.OrganizationID)), Client: value(k.ClientID),
			Maker: names.User(k.CreatedBy), CreatedAt: k.CreatedAt.Time(), ExpiresAt: k.ExpiresAt.Time(), LastUsedAt: k.LastUsedAt.Time(), RevokedAt: k.RevokedAt.Time(),
		})
	}
	return rows, nil
}
