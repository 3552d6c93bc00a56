package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// settings shows what can be changed here, and what the configuration has settled.
func (s *Server) settings(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showSettings(w, r, st, http.StatusOK, "", nil)
}

// showSettings shows the settings; a rule that was chosen and not taken stays chosen.
func (s *Server) showSettings(w http.ResponseWriter, r *http.Request, st *staff, status int, rule storage.SupportRule, wrong []templates.FieldError) error {
	now := time.Now()
	set, err := s.store.ImpersonationSettings(r.Context())
	if err != nil {
		return err
	}
	if rule == "" {
		rule = set.Support
	}
	p := templates.SettingsPage{
		Page: s.consoleFrame(r, st), Enabled: set.Enabled, Rule: string(rule), Confirm: s.mustConfirm(st.Login), Errors: wrong,
		ReasonMin: impersonation.MinReason, ReasonMax: impersonation.MaxReason, Locked: s.lockedSettings(),
	}
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Running: true}, now)
	if err != nil {
		return err
	}
	p.Running, p.Now = len(running), now
	if p.MailSet = s.config.Mailer != nil; p.MailSet {
		state, err := s.store.MailState(r.Context())
		if err != nil {
			return err
		}
		p.MailTo, p.MailWaiting, p.MailFailed, p.MailError = st.User.Email, state.Waiting, state.Failed, state.LastError
		p.MailErrorAt = state.LastErrorAt.Time()
	}
	return s.pages.Settings(w, status, p)
}

// settingSections are the parts of the configuration that the page shows, those that
// people look for first.
var settingSections = []struct{ title, section string }{
	{"Signing in as others", "impersonation"},
	{"Branding", "branding"},
	{"Mail", "mail"},
	{"Listeners", ""}, // what is in no section
	{"TLS", "tls"},
	{"Sign-in", "login"},
	{"Sessions", "sessions"},
	{"Tokens", "tokens"},
	{"Signing keys", "keys"},
	{"Registration", "registration"},
	{"Calls to others", "outgoing"},
	{"Database", "database"},
	{"Secrets", "secrets"},
	{"Log", "log"},
}

func (s *Server) lockedSettings() []templates.SettingGroup {
	var groups []templates.SettingGroup
	for _, part := range settingSections {
		g := templates.SettingGroup{Title: part.title}
		for _, setting := range s.config.Settings {
			section, _, nested := strings.Cut(setting.Key, ".")
			if nested && section == part.section || !nested && part.section == "" {
				g.Settings = append(g.Settings, templates.SettingRow(setting))
			}
		}
		if len(g.Settings) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// actingForm says what happens when signing in as others is switched on.
func (s *Server) actingForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showActing(w, r, st, http.StatusOK, nil)
}

func (s *Server) showActing(w http.ResponseWriter, r *http.Request, st *staff, status int, wrong []templates.FieldError) error {
	have, err := s.store.Progress(r.Context())
	if err != nil {
		return err
	}
	set, err := s.store.ImpersonationSettings(r.Context())
	if err != nil {
		return err
	}
	return s.pages.SwitchActing(w, status, templates.SwitchActingPage{
		Page: s.consoleFrame(r, st), Clients: have.ClientsOptedIn, Rule: string(set.Support),
		Longest: s.provider.Impersonation.Limits().MaxDuration, Confirm: s.mustConfirm(st.Login), Errors: wrong,
	})
}

// switchActing turns the master switch. On asks who it is; off is the kill switch and
// asks nothing.
func (s *Server) switchActing(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	switch form.Get("enabled") {
	case "on":
		confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
		if err != nil {
			return err
		}
		if !confirmed {
			return s.showActing(w, r, st, http.StatusForbidden, []templates.FieldError{{Field: "password", Message: message}})
		}
	case "off":
	default:
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "Say whether it is to be on or off."}
	}
	on := form.Get("enabled") == "on"
	if err := provider.NewSettings(s.store).EnableImpersonation(r.Context(), on, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, "/admin/settings?done=acting-"+form.Get("enabled"))
	return nil
}

// testMail sends a message to the person themselves. That it was asked for is on the
// record before anything is sent.
func (s *Server) testMail(w http.ResponseWriter, r *http.Request, st *staff) error {
	if s.config.Mailer == nil {
		return errNoPage
	}
	wrong := func(status int, message string) error {
		return s.showSettings(w, r, st, status, "", []templates.FieldError{{Field: "mail", Message: message}})
	}
	letter, err := s.TestMail(st.User.Email, st.User.DisplayName(), s.language(r))
	if err != nil {
		return err
	}
	err = s.provider.SendTest(r.Context(), s.config.Mailer, letter, s.by(r, st.Login), time.Now())
	if _, full := throttled(err); full {
		return wrong(http.StatusTooManyRequests, "That was tried too often. Wait a little, then try again.")
	}
	if errors.Is(err, provider.ErrNotSent) {
		s.logAnswer(r, http.StatusBadGateway, "mail_not_sent", err)
		return wrong(http.StatusBadGateway, "The mail server did not take it. What it said is in the log.")
	}
	if err != nil {
		return err
	}
	redirect(w, "/admin/settings?done=mail_tested")
	return nil
}

// setSupportRule changes what users' own permission decides.
func (s *Server) setSupportRule(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	rule := storage.SupportRule(form.Get("rule"))
	if !slices.Contains(provider.SupportRules, rule) {
		return s.showSettings(w, r, st, http.StatusBadRequest, "", []templates.FieldError{{Field: "rule", Message: "Choose one of the rules."}})
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !confirmed {
		return s.showSettings(w, r, st, http.StatusForbidden, rule, []templates.FieldError{{Field: "password", Message: message}})
	}
	if err := provider.NewSettings(s.store).SetSupportRule(r.Context(), rule, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, "/admin/settings?done=rule-set")
	return nil
}
