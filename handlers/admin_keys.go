package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/templates"
)

// tokenAlgs are the algorithms that tokens are signed with.
var tokenAlgs = []string{"RS256", "ES256"}

// keys shows what every signing key does.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, st *staff) error {
	now := time.Now()
	rows, err := s.store.SigningKeys(r.Context())
	if err != nil {
		return err
	}
	p := templates.KeysPage{Page: s.consoleFrame(r, st), Now: now, Interval: s.config.RotationInterval}
	for _, k := range provider.KeyStatuses(rows, s.config.LongestToken, now) {
		p.Keys = append(p.Keys, templates.KeyRow{
			ID: k.ID, Alg: k.Alg, State: string(k.State), Tokens: k.Purpose == "token",
			CreatedAt: k.CreatedAt.Time(), SignsFrom: k.ActivatesAt.Time(), Until: k.Until, RetiredAt: k.RetiredAt.Time(),
		})
	}
	slices.Reverse(p.Keys) // the newest first
	return s.pages.Keys(w, http.StatusOK, p)
}

// rotateKeys publishes the next key of each algorithm that has none.
func (s *Server) rotateKeys(w http.ResponseWriter, r *http.Request, st *staff) error {
	done := "keys-published"
	next, err := s.provider.Keys.Rotate(r.Context(), tokenAlgs, s.by(r, st.Login), time.Now())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(next, func(n provider.NextKey) bool { return n.Made }) {
		done = "keys-rotated"
	}
	redirect(w, "/admin/keys?done="+done)
	return nil
}

// replaceKeysForm says what replacing keys at once does to everybody.
func (s *Server) replaceKeysForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showReplaceKeys(w, r, st, http.StatusOK, tokenAlgs, nil)
}

func (s *Server) showReplaceKeys(w http.ResponseWriter, r *http.Request, st *staff, status int, chosen []string, wrong []templates.FieldError) error {
	p := templates.ReplaceKeysPage{Page: s.consoleFrame(r, st), Confirm: s.mustConfirm(st.Login), Errors: wrong}
	for _, alg := range tokenAlgs {
		p.Algs = append(p.Algs, templates.Option{Value: alg, Label: alg, Selected: slices.Contains(chosen, alg)})
	}
	return s.pages.ReplaceKeys(w, status, p)
}

// replaceKeys makes new keys sign at once and takes the others out of the key set.
func (s *Server) replaceKeys(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if message := checkAlgs(form); message != "" {
		return s.showReplaceKeys(w, r, st, http.StatusBadRequest, form["alg"], []templates.FieldError{{Field: "alg", Message: message}})
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !confirmed {
		return s.showReplaceKeys(w, r, st, http.StatusForbidden, form["alg"], []templates.FieldError{{Field: "password", Message: message}})
	}
	if err := s.provider.Keys.Replace(r.Context(), form["alg"], s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, "/admin/keys?done=keys-replaced")
	return nil
}

func checkAlgs(form url.Values) string {
	if len(form["alg"]) == 0 {
		return "Choose at least one."
	}
	for _, alg := range form["alg"] {
		if !slices.Contains(tokenAlgs, alg) {
			return "There is no such kind of key."
		}
	}
	return ""
}
