package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// A webhook in the console, from its making to its end.
func TestConsoleWebhooks(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{Transport: v}})
	root := inConsole(t, idp, "root")
	if w := root.Get("/admin"); !strings.Contains(w.Body, `href="/admin/webhooks"`) {
		t.Error("the menu has no webhooks")
	}
	if w := inConsole(t, idp, "olga").Get("/admin/webhooks"); w.Status != http.StatusForbidden {
		t.Errorf("an auditor: %d", w.Status)
	}
	wantStatus(t, "none yet", root.Get("/admin/webhooks"), http.StatusOK)
	for what, form := range map[string]url.Values{
		"F10 loopback": {"url": {"https://127.0.0.1/"}},
		"F10 http":     {"url": {"http://hooks.example/"}},
		"no address":   {"url": {""}},
		"no events":    {"url": {"https://hooks.example/"}, "event_types": {"x.y"}},
		"E05 no text":  {"url": {"https://hooks.example/"}, "description": {"a\u202eb"}},
	} {
		if w := root.Post("/admin/webhooks", form); w.Status != http.StatusBadRequest || !strings.Contains(w.Body, "aria-invalid") {
			t.Errorf("%s: %d", what, w.Status)
		}
	}
	hostile := `<script>alert(1)</script>`
	w := root.Post("/admin/webhooks", url.Values{"url": {"https://hooks.example/in"}, "description": {hostile}, "event_types": {"session.*\r\nuser.created"}})
	wantStatus(t, "create", w, http.StatusSeeOther)
	at := w.Location().Path
	w = root.Get(at)
	wantStatus(t, "show", w, http.StatusOK)
	v.secret = attrOf(w, "secret", "value")
	if !strings.HasPrefix(v.secret, "whsec_") || strings.Contains(w.Body, hostile) {
		t.Errorf("the page: %.200s", w.Body)
	}
	if other := inConsole(t, idp, "root").Get(at); strings.Contains(other.Body, "whsec_") {
		t.Error("another browser sees the secret")
	}
	wantStatus(t, "stored", root.Post(at+"/stored", url.Values{}), http.StatusSeeOther)
	if w := root.Get(at); strings.Contains(w.Body, "whsec_") {
		t.Error("the secret is shown again")
	}
	for _, step := range []struct {
		path string
		form url.Values
		done string
	}{
		{"/test", nil, "webhook-answered"},
		{"", url.Values{"url": {"https://hooks.example/other"}, "event_types": {""}}, "webhook-saved"},
		{"/disable", nil, "webhook-disabled"},
		{"/disable", nil, "webhook-disabled"},
		{"/enable", nil, "webhook-enabled"},
		{"/replay", url.Values{"hours": {"24"}}, "webhook-replayed"},
	} {
		w := root.Post(at+step.path, step.form)
		if w.Status != http.StatusSeeOther || w.Location().Query().Get("done") != step.done {
			t.Errorf("%s: %d %s", step.path, w.Status, w.Header.Get("Location"))
		}
	}
	wantStatus(t, "a time that is not offered", root.Post(at+"/replay", url.Values{"hours": {"-1"}}), http.StatusBadRequest)
	for _, shown := range []string{"?status=delivered", "?status=pending", "?status=nonsense", ""} {
		if w := root.Get(at + shown); w.Status != http.StatusOK || strings.Contains(w.Body, "webhook.test") != (shown != "?status=pending") {
			t.Errorf("%s: %d", shown, w.Status)
		}
	}
	wantStatus(t, "a place that is none", root.Get(at+"?before=x"), http.StatusBadRequest)
	v.says(http.StatusInternalServerError)
	if w := root.Post(at+"/test", nil); w.Location().Query().Get("done") != "webhook-silent" {
		t.Errorf("a test that fails: %s", w.Header.Get("Location"))
	}
	found, err := idp.Store.Deliveries(t.Context(), storage.DeliverySearch{WebhookID: strings.TrimPrefix(at, "/admin/webhooks/"), Status: storage.DeliveryFailed})
	check(t, err)
	d := found[0]
	for range 2 { // the second finds it waiting
		wantStatus(t, "send again", root.Post(at+"/deliveries/"+d.EventID+"/replay", nil), http.StatusSeeOther)
	}
	wantStatus(t, "send nothing again", root.Post(at+"/deliveries/evt_nothing/replay", nil), http.StatusNotFound)
	w = root.Post(at+"/rotate", nil)
	wantStatus(t, "rotate", w, http.StatusSeeOther)
	if second := attrOf(root.Get(at), "secret", "value"); second == v.secret || !strings.HasPrefix(second, "whsec_") {
		t.Errorf("rotated: %q", second)
	}
	// Whoever may not read the record says nothing about where it goes.
	addRole(t, idp, "pusher", `["webhooks:write"]`)
	enroll(t, idp, "wendy", "pusher")
	wendy := inConsole(t, idp, "wendy")
	if w := wendy.Get("/admin/webhooks"); w.Status != http.StatusOK || w.Element("webhook-form") != nil {
		t.Errorf("F08 without events:read: %d", w.Status)
	}
	wantStatus(t, "disable without events:read", wendy.Post(at+"/disable", nil), http.StatusSeeOther)
	for path, form := range map[string]url.Values{
		"/admin/webhooks": {"url": {"https://hooks.example/"}}, at: {"url": {"https://hooks.example/"}}, at + "/enable": nil,
	} {
		wantStatus(t, "F08 "+path+" without events:read", wendy.Post(path, form), http.StatusForbidden)
	}
	wantStatus(t, "delete", root.Post(at+"/delete", nil), http.StatusSeeOther)
	wantStatus(t, "gone", root.Get(at), http.StatusNotFound)
	wantStatus(t, "try what is gone", root.Post(at+"/test", nil), http.StatusNotFound)
}

// attrOf returns an attribute of the element with this id, empty where there is none.
func attrOf(w *idptest.Response, id, name string) string {
	if n := w.Element(id); n != nil {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
	}
	return ""
}
