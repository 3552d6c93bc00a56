package handlers

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

func webhookPath(id string) string { return "/admin/webhooks/" + url.PathEscape(id) }

// webhooks lists what events are pushed to.
func (s *Server) webhooks(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showWebhooks(w, r, st, http.StatusOK, &storage.Webhook{}, nil)
}

func (s *Server) showWebhooks(w http.ResponseWriter, r *http.Request, st *staff, status int, typed *storage.Webhook, problems map[string]string) error {
	all, err := s.store.Webhooks(r.Context())
	if err != nil {
		return err
	}
	p := templates.WebhooksPage{
		Page: s.consoleFrame(r, st), MayPush: provider.MayPush(st.standing), Now: time.Now(), Form: s.webhookForm(st, "/admin/webhooks", typed, problems),
	}
	for _, h := range all {
		p.Rows = append(p.Rows, webhookRow(&h))
	}
	return s.pages.Webhooks(w, status, p)
}

func webhookRow(h *storage.Webhook) templates.WebhookRow {
	return templates.WebhookRow{
		ID: h.ID, URL: h.URL, Description: h.Description, EventTypes: h.EventTypes, Active: h.Active(), Why: string(h.DisabledReason),
		FailingSince: h.FailingSince.Time(),
	}
}

// webhookForm is the form of a webhook. It asks for the password where that was not shown
// lately: whoever points a webhook elsewhere takes the record away.
func (s *Server) webhookForm(st *staff, action string, h *storage.Webhook, problems map[string]string) templates.Form {
	fields := []templates.Field{
		{Name: "url", Label: "Address", Hint: "An https address. Redirects are not followed.", Value: h.URL, Required: true, Error: problems["url"]},
		{Name: "description", Label: "Description", Hint: "What it is for, for those who list it.", Value: h.Description, Error: problems["description"]},
		{
			Kind: templates.FieldLines, Name: "event_types", Label: "Events", Value: strings.Join(h.EventTypes, "\n"), Error: problems["event_types"],
			Hint: "One type a line, like session.created, or user.* for all of a kind. Empty: all.",
		},
	}
	if s.mustConfirm(st.Login) {
		fields = append(fields, templates.Field{
			Kind: templates.FieldPassword, Name: "password", Label: "Your own password", Hint: "You showed it more than a few minutes ago. Confirm that it is you.",
			Error: problems["password"],
		})
	}
	return templates.Form{Action: action, Groups: []templates.FieldGroup{{Fields: fields}}}
}

// readWebhook reads the form into a webhook.
func readWebhook(form url.Values, h *storage.Webhook) {
	h.URL, h.Description = strings.TrimSpace(form.Get("url")), strings.TrimSpace(form.Get("description"))
	h.EventTypes = strings.Fields(form.Get("event_types"))
}

// saveWebhook makes a change of what was typed, once the person has confirmed it, or
// returns what is wrong, by field.
func (s *Server) saveWebhook(w http.ResponseWriter, r *http.Request, st *staff, form url.Values, save func() error) (map[string]string, int, error) {
	if !provider.MayPush(st.standing) {
		return nil, 0, &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "Whoever says where events go must have the right to read them. You do not."}
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return nil, 0, err
	}
	if !confirmed {
		return map[string]string{"password": message}, http.StatusForbidden, nil
	}
	err = save()
	wrong, invalid := errors.AsType[provider.Invalid](err)
	switch {
	case errors.Is(err, provider.ErrTooManyWebhooks):
		return map[string]string{"url": "There are as many webhooks as there may be. Delete one first."}, http.StatusConflict, nil
	case errors.Is(err, storage.ErrSpent):
		return map[string]string{"url": "Somebody else changed it meanwhile. Look at it again."}, http.StatusConflict, nil
	case !invalid:
		return nil, 0, err
	}
	problems := map[string]string{}
	for _, problem := range provider.ProblemsOf(wrong) {
		problems[problem.Field] = webhookProblems[problem.Field]
	}
	return problems, http.StatusBadRequest, nil
}

// webhookProblems are what is said of a field that cannot be.
var webhookProblems = map[string]string{
	"url":         "Write the https address of a public host.",
	"description": "This is too long, or no text.",
	"event_types": "There are no events of one of these types, or it is there twice.",
}

// newWebhook makes a webhook and shows its secret.
func (s *Server) newWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	h, secret := &storage.Webhook{}, ""
	readWebhook(form, h)
	typed := *h
	problems, status, err := s.saveWebhook(w, r, st, form, func() (err error) {
		secret, err = provider.NewWebhooks(s.provider).Create(r.Context(), h, s.by(r, st.Login), time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return s.showWebhooks(w, r, st, status, &typed, problems)
	}
	s.handOver(w, st, shownSecret{Client: h.ID, Secret: secret, New: true})
	redirect(w, webhookPath(h.ID))
	return nil
}

// consoleWebhook returns the webhook in the address.
func (s *Server) consoleWebhook(r *http.Request) (*storage.Webhook, error) {
	h, err := s.store.Webhook(r.Context(), r.PathValue("webhook"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	return h, err
}

// webhook shows one with what it got.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	return s.showWebhook(w, r, st, http.StatusOK, h, h, nil)
}

func (s *Server) showWebhook(w http.ResponseWriter, r *http.Request, st *staff, status int, h, typed *storage.Webhook, problems map[string]string) error {
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	now := time.Now()
	p := templates.WebhookPage{
		Page: s.consoleFrame(r, st), Row: webhookRow(h), Action: webhookPath(h.ID), MayPush: provider.MayPush(st.standing), Now: now,
		Form: s.webhookForm(st, webhookPath(h.ID), typed, problems), Confirm: s.mustConfirm(st.Login), Secret: s.webhookSecret(r, st, h),
	}
	if h.PreviousSecret != nil && !h.PreviousSecretUntil.Passed(now) {
		p.PreviousUntil = h.PreviousSecretUntil.Time()
	}
	for _, field := range []string{"enable_password", "rotate_password", "delete_password"} {
		if problems[field] != "" {
			p.Errors = append(p.Errors, templates.FieldError{Field: field, Message: problems[field]})
		}
	}
	search := storage.DeliverySearch{WebhookID: h.ID, Limit: pageSize + 1}
	if status := storage.DeliveryStatus(q.Get("status")); status == storage.DeliveryPending || status == storage.DeliveryFailed || status == storage.DeliveryDelivered {
		search.Status, p.Status = status, string(status)
	}
	at, err := parseCursor(q.Get("before"))
	if err != nil {
		return err
	}
	search.Before = at
	found, err := s.store.Deliveries(r.Context(), search)
	if err != nil {
		return err
	}
	if len(found) > pageSize {
		found = found[:pageSize]
		last := found[pageSize-1]
		p.OlderURL = webhookPath(h.ID) + "?" + url.Values{
			"status": {p.Status}, "before": {strconv.FormatInt(int64(last.CreatedAt), 10) + "." + last.EventID},
		}.Encode()
	}
	for _, d := range found {
		row := templates.DeliveryRow{
			EventID: d.EventID, Type: string(d.EventType), Label: eventLabels[d.EventType], Status: string(d.Status), Answer: d.HTTPStatus, Error: d.Error,
			Attempts: d.Attempts, At: d.CreatedAt.Time(), Action: webhookPath(h.ID) + "/deliveries/" + url.PathEscape(d.EventID) + "/replay",
		}
		if d.Status == storage.DeliveryPending && !d.NextAttemptAt.Passed(now) {
			row.Next = d.NextAttemptAt.Time()
		}
		p.Deliveries = append(p.Deliveries, row)
	}
	return s.pages.Webhook(w, status, p)
}

// webhookSecret returns the secret that was just made in this browser, as long as it is
// the webhook's.
func (s *Server) webhookSecret(r *http.Request, st *staff, h *storage.Webhook) string {
	var shown shownSecret
	b, err := base64.RawURLEncoding.DecodeString(s.cookie(r, secretCookie))
	if err != nil || json.Unmarshal(b, &shown) != nil || shown.By != st.User.ID || shown.Client != h.ID ||
		!provider.NewWebhooks(s.provider).Holds(h, shown.Secret) {
		return ""
	}
	return shown.Secret
}

// changeWebhook stores what was typed.
func (s *Server) changeWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	typed := *h
	readWebhook(form, &typed)
	changed := typed
	problems, status, err := s.saveWebhook(w, r, st, form, func() error {
		return provider.NewWebhooks(s.provider).Update(r.Context(), &changed, s.by(r, st.Login), time.Now())
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return s.showWebhook(w, r, st, status, h, &typed, problems)
	}
	redirect(w, webhookPath(h.ID)+"?done=webhook-saved")
	return nil
}

// webhookAction makes a change of the webhook in the address that needs no more than a
// button; that it was made before is no error.
func (s *Server) webhookAction(w http.ResponseWriter, r *http.Request, done string, act func(h *provider.Webhooks, id string) error) error {
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	err = act(provider.NewWebhooks(s.provider), h.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return errNoPage
	}
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return err
	}
	redirect(w, webhookPath(h.ID)+"?done="+done)
	return nil
}

// enableWebhook lets events out again, which is worth as much as pointing them somewhere.
func (s *Server) enableWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	if !provider.MayPush(st.standing) {
		return &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "Whoever says where events go must have the right to read them. You do not."}
	}
	return s.confirmedWebhook(w, r, st, "enable_password", func(*storage.Webhook) error {
		return s.webhookAction(w, r, "webhook-enabled", func(h *provider.Webhooks, id string) error {
			return h.Enable(r.Context(), id, s.by(r, st.Login), time.Now())
		})
	})
}

func (s *Server) disableWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.webhookAction(w, r, "webhook-disabled", func(h *provider.Webhooks, id string) error {
		return h.Disable(r.Context(), id, s.by(r, st.Login), time.Now())
	})
}

// testWebhook sends a test and says how it went.
func (s *Server) testWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	d, err := provider.NewWebhooks(s.provider).Test(r.Context(), h.ID, s.by(r, st.Login), time.Now())
	done := "webhook-answered"
	if _, ok := throttled(err); ok {
		done, err = "webhook-tried", nil
	}
	if err != nil {
		return err
	}
	if d != nil && d.Status != storage.DeliveryDelivered {
		done = "webhook-silent"
	}
	redirect(w, webhookPath(h.ID)+"?done="+done)
	return nil
}

// webhookStored forgets the secret.
func (s *Server) webhookStored(w http.ResponseWriter, r *http.Request, _ *staff) error {
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	s.setSecretCookie(w, "", -time.Second)
	redirect(w, webhookPath(h.ID)+"?done=secret-stored")
	return nil
}

// confirmedWebhook does what is dangerous once the person has shown their password, in the
// field of that form.
func (s *Server) confirmedWebhook(w http.ResponseWriter, r *http.Request, st *staff, field string, do func(h *storage.Webhook) error) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	h, err := s.consoleWebhook(r)
	if err != nil {
		return err
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get(field))
	if err != nil {
		return err
	}
	if !confirmed {
		return s.showWebhook(w, r, st, http.StatusForbidden, h, h, map[string]string{field: message})
	}
	return do(h)
}

func (s *Server) rotateWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.confirmedWebhook(w, r, st, "rotate_password", func(h *storage.Webhook) error {
		secret, err := provider.NewWebhooks(s.provider).RotateSecret(r.Context(), h.ID, s.by(r, st.Login), time.Now())
		if err != nil {
			return err
		}
		s.handOver(w, st, shownSecret{Client: h.ID, Secret: secret, Kept: true})
		redirect(w, webhookPath(h.ID))
		return nil
	})
}

func (s *Server) deleteWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.confirmedWebhook(w, r, st, "delete_password", func(h *storage.Webhook) error {
		err := provider.NewWebhooks(s.provider).Delete(r.Context(), h.ID, s.by(r, st.Login), time.Now())
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		redirect(w, "/admin/webhooks?done=webhook-deleted")
		return nil
	})
}

func (s *Server) replayWebhook(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(form.Get("hours"))
	if err != nil || hours < 1 || hours > 720 {
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "Choose one of the times that are offered."}
	}
	now := time.Now()
	return s.webhookAction(w, r, "webhook-replayed", func(h *provider.Webhooks, id string) error {
		_, err := h.ReplayFailed(r.Context(), id, now.Add(-time.Duration(hours)*time.Hour), s.by(r, st.Login), now)
		return err
	})
}

func (s *Server) replayDelivery(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.webhookAction(w, r, "webhook-replayed", func(h *provider.Webhooks, id string) error {
		return h.Replay(r.Context(), id, r.PathValue("event"), s.by(r, st.Login), time.Now())
	})
}
