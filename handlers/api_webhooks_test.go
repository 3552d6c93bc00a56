package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// Events follow each other in the order of the tree, with nothing left out, to whoever
// may read them.
func TestAPIEvents(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		before := time.Now()
		for i := range 60 {
			e := storage.Event{Type: storage.EventUserUpdated, ActorID: "usr_root", SubjectID: fmt.Sprintf("usr_%d", i%2), Data: storage.Data{"n": i}}
			if i%3 == 0 {
				e = storage.Event{
					Type: storage.EventSessionCreated, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "app", OrganizationID: "org_globex",
					ImpersonationID: fmt.Sprintf("imp_%d", i), Data: storage.Data{"sid": fmt.Sprintf("imp_%d", i)},
				}
			}
			happen(t, idp, e, storage.Private{Reason: "Cannot see invoice 4711", ActorEmail: "sam@example.test", IP: "192.0.2.9"})
		}
		check(t, idp.Auditor.Sequence(t.Context()))
		want := sequenced(t, idp, 0)
		happen(t, idp, storage.Event{Type: storage.EventUserUpdated}, storage.Private{}) // waits for its place
		all, local := idp.APIKey(t, "events:read"), idp.LocalAPIKey(t, "org_globex", "events:read")

		read := func(key string, q url.Values) (events []api.Event) {
			t.Helper()
			q.Set("limit", "7")
			for {
				w := idp.API(t, key, http.MethodGet, "/events?"+q.Encode(), nil)
				if w.Status != http.StatusOK {
					t.Fatalf("%v: %d %s", q, w.Status, w.Body)
				}
				var page api.EventList
				w.Into(t, &page)
				events = append(events, page.Data...)
				if page.NextCursor == nil {
					return events
				}
				q.Set("cursor", *page.NextCursor)
			}
		}
		ids := func(events []api.Event) (ids []string) {
			for _, e := range events {
				ids = append(ids, e.ID)
			}
			return ids
		}
		if got := ids(read(all, url.Values{})); !slices.Equal(got, want) {
			t.Errorf("all: got %d events, want %d", len(got), len(want))
		}
		if got := ids(read(all, url.Values{"after": {want[10]}})); !slices.Equal(got, want[11:]) {
			t.Errorf("after: got %d events, want %d", len(got), len(want)-11)
		}
		for what, c := range map[string]struct {
			key string
			q   url.Values
			n   int
		}{
			"type":                 {all, url.Values{"type": {"session.created"}}, 20},
			"actor":                {all, url.Values{"actor": {"usr_sam"}}, 20},
			"subject":              {all, url.Values{"subject": {"usr_1"}}, 20},
			"client":               {all, url.Values{"client": {"app"}}, 20},
			"organization":         {all, url.Values{"organization": {"org_globex"}}, 20},
			"impersonation":        {all, url.Values{"impersonation": {"imp_3"}}, 1},
			"both":                 {all, url.Values{"type": {"session.created"}, "actor": {"usr_root"}}, 0},
			"since":                {all, url.Values{"since": {before.UTC().Format(time.RFC3339Nano)}}, 60},
			"until":                {all, url.Values{"until": {before.Add(-time.Hour).UTC().Format(time.RFC3339Nano)}}, 0},
			"until long ago":       {all, url.Values{"until": {"1970-01-01T00:00:00Z"}}, 0},
			"F08 an organization":  {local, url.Values{}, 20},
			"F08 its own, by name": {local, url.Values{"organization": {"org_globex"}}, 20},
		} {
			if got := read(c.key, c.q); len(got) != c.n {
				t.Errorf("%s: got %d events, want %d", what, len(got), c.n)
			}
		}
		e := read(local, url.Values{})[0]
		if e.Impersonator == nil || e.Impersonator.Email != "sam@example.test" || e.Impersonator.Reason != "Cannot see invoice 4711" ||
			*e.IP != "192.0.2.9" || e.Data["sid"] != *e.Impersonation {
			t.Errorf("got %+v", e)
		}
		foreign := read(all, url.Values{"actor": {"usr_root"}})[0]
		for what, c := range map[string]struct {
			key, path string
			status    int
			code      string
		}{
			"one":                          {all, "/events/" + e.ID, 200, ""},
			"one of the organization":      {local, "/events/" + e.ID, 200, ""},
			"F08 one of others":            {local, "/events/" + foreign.ID, 404, "not_found"},
			"F08 after one of others":      {local, "/events?after=" + foreign.ID, 404, "not_found"},
			"F08 of another organization":  {local, "/events?organization=org_initech", 404, "not_found"},
			"none":                         {all, "/events/evt_nothing", 404, "not_found"},
			"after none":                   {all, "/events?after=evt_nothing", 404, "not_found"},
			"F09 an unknown parameter":     {all, "/events?sort=time", 400, "invalid_request"},
			"F09 a time that is none":      {all, "/events?since=yesterday", 400, "invalid_request"},
			"F09 a cursor that is none":    {all, "/events?cursor=12", 400, "invalid_cursor"},
			"a permission that is another": {idp.APIKey(t, "events:export"), "/events", 403, "insufficient_permission"},
		} {
			w := idp.API(t, c.key, http.MethodGet, c.path, nil)
			if w.Status != c.status || c.code != "" && w.Problem(t).Code != c.code {
				t.Errorf("%s: got %d %s", what, w.Status, w.Body)
			}
		}
		if w := idp.API(t, all, http.MethodGet, "/events?limit=1", nil); w.Status == 200 { // F09: a cursor is of one list
			var page api.EventList
			w.Into(t, &page)
			if w := idp.API(t, all, http.MethodGet, "/events?limit=1&type=user.updated&cursor="+*page.NextCursor, nil); w.Status != http.StatusBadRequest {
				t.Errorf("a cursor of another list: %d", w.Status)
			}
		}
	})
}

// A webhook from its making to its end, and what is refused on the way.
func TestAPIWebhooks(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{Transport: v}})
	key := idp.APIKey(t, "webhooks:write", "events:read")
	post := func(path string, body any) *idptest.Response { return idp.API(t, key, http.MethodPost, path, body) }
	check(t, idp.Auditor.Sequence(t.Context()))

	w := post("/webhooks", `{"url": "https://hooks.example/in?token=x", "description": "Helpdesk", "event_types": ["impersonation.*"]}`)
	wantStatus(t, "create", w, http.StatusCreated)
	var made api.WebhookWithSecret
	w.Into(t, &made)
	if !strings.HasPrefix(made.Secret, "whsec_") || made.Status != "active" || made.EventTypes[0] != "impersonation.*" {
		t.Errorf("made %s", w.Body)
	}
	v.secret = made.Secret
	at := "/webhooks/" + made.ID
	w = idp.API(t, key, http.MethodGet, at, nil)
	wantStatus(t, "show", w, http.StatusOK)
	if strings.Contains(w.Body, "whsec_") {
		t.Error("the secret is shown again")
	}
	w = idp.API(t, key, http.MethodPatch, at, `{"description": "Tickets"}`)
	wantStatus(t, "change", w, http.StatusOK)
	if !strings.Contains(w.Body, "Tickets") || !strings.Contains(w.Body, "hooks.example/in?token=x") {
		t.Errorf("changed: %s", w.Body)
	}
	w = post(at+"/test", nil)
	wantStatus(t, "test", w, http.StatusOK)
	var d api.Delivery
	w.Into(t, &d)
	if d.Status != "delivered" || *d.HTTPStatus != 200 || d.EventType != "webhook.test" || v.taken[d.EventID] != 1 {
		t.Errorf("test: %s", w.Body)
	}
	wantStatus(t, "replay", post(at+"/deliveries/"+d.EventID+"/replay", nil), http.StatusOK)
	wantStatus(t, "replay at once", post(at+"/deliveries/"+d.EventID+"/replay", nil), http.StatusConflict)
	wantStatus(t, "replay nothing", post(at+"/deliveries/evt_nothing/replay", nil), http.StatusNotFound)
	w = post(at+"/replay", `{"since": "2026-01-01T00:00:00Z"}`)
	if w.Status != http.StatusOK || !strings.Contains(w.Body, `"count":0`) {
		t.Errorf("replay what failed: %d %s", w.Status, w.Body)
	}
	w = idp.API(t, key, http.MethodGet, at+"/deliveries?status=pending", nil)
	if w.Status != http.StatusOK || !strings.Contains(w.Body, d.EventID) {
		t.Errorf("deliveries: %d %s", w.Status, w.Body)
	}
	wantStatus(t, "a status that is none", idp.API(t, key, http.MethodGet, at+"/deliveries?status=lost", nil), http.StatusBadRequest)
	wantStatus(t, "deliveries of nothing", idp.API(t, key, http.MethodGet, "/webhooks/wh_nothing/deliveries", nil), http.StatusNotFound)
	w = post(at+"/rotate-secret", nil)
	wantStatus(t, "rotate", w, http.StatusOK)
	if strings.Contains(w.Body, made.Secret) || !strings.Contains(w.Body, "whsec_") {
		t.Errorf("rotated: %s", w.Body)
	}
	for _, way := range []string{"disable", "disable", "enable", "enable"} {
		w := post(at+"/"+way, nil)
		if w.Status != http.StatusOK || !strings.Contains(w.Body, `"status":"`+map[string]string{"disable": "disabled", "enable": "active"}[way]+`"`) {
			t.Errorf("%s: %d %s", way, w.Status, w.Body)
		}
	}
	if w := idp.API(t, key, http.MethodGet, "/webhooks?limit=1", nil); w.Status != http.StatusOK || strings.Count(w.Body, `"wh_`) != 1 {
		t.Errorf("list: %d %s", w.Status, w.Body)
	}

	// Where events go is for who may read all of them.
	half, local := idp.APIKey(t, "webhooks:write"), idp.LocalAPIKey(t, "org_globex", "webhooks:write", "events:read")
	good := `{"url": "https://hooks.example/"}`
	for what, c := range map[string]struct{ key, method, path, code string }{
		"F08 create without events:read": {half, http.MethodPost, "/webhooks", "not_permitted"},
		"F08 change without events:read": {half, http.MethodPatch, at, "not_permitted"},
		"F08 enable without events:read": {half, http.MethodPost, at + "/enable", "not_permitted"},
		"F08 of an organization":         {local, http.MethodPost, "/webhooks", "insufficient_permission"},
		"F08 show, of an organization":   {local, http.MethodGet, at, "insufficient_permission"},
	} {
		var body any
		if c.method != http.MethodGet && !strings.HasSuffix(c.path, "enable") {
			body = good
		}
		if w := idp.API(t, c.key, c.method, c.path, body); w.Status != http.StatusForbidden || w.Problem(t).Code != c.code {
			t.Errorf("%s: %d %s", what, w.Status, w.Body)
		}
	}
	for what, body := range map[string]string{
		"F10 http":                      `{"url": "http://hooks.example/"}`,
		"F10 loopback":                  `{"url": "https://127.0.0.1/"}`,
		"F10 a name of loopback":        `{"url": "https://localhost/"}`,
		"F10 another name of loopback":  `{"url": "https://x.localhost./"}`,
		"F10 http to loopback":          `{"url": "http://127.0.0.1:8080/"}`,
		"F10 private":                   `{"url": "https://10.0.0.1/"}`,
		"F10 link-local":                `{"url": "https://169.254.169.254/latest/meta-data"}`,
		"F10 IPv6 loopback":             `{"url": "https://[::1]/"}`,
		"F10 IPv4 in IPv6":              `{"url": "https://[::ffff:127.0.0.1]/"}`,
		"F10 IPv4 in hexadecimal IPv6":  `{"url": "https://[::ffff:a00:1]/"}`,
		"F10 NAT64":                     `{"url": "https://[64:ff9b::7f00:1]/"}`,
		"F10 unique local":              `{"url": "https://[fd00::1]/"}`,
		"F10 a zone":                    `{"url": "https://[fe80::1%25eth0]/"}`,
		"F10 user information":          `{"url": "https://a:b@hooks.example/"}`,
		"F10 a port that is none":       `{"url": "https://hooks.example:99999/"}`,
		"F10 port 0":                    `{"url": "https://hooks.example:0/"}`,
		"F10 a fragment":                `{"url": "https://hooks.example/#a"}`,
		"F10 no host":                   `{"url": "https:///x"}`,
		"F10 another scheme":            `{"url": "gopher://hooks.example/"}`,
		"F10 a line break":              `{"url": "https://hooks.example/\r\nX: y"}`,
		"no events":                     `{"url": "https://hooks.example/", "event_types": ["impersonation.star"]}`,
		"no kind":                       `{"url": "https://hooks.example/", "event_types": ["*"]}`,
		"half a kind":                   `{"url": "https://hooks.example/", "event_types": ["imp*"]}`,
		"a type twice":                  `{"url": "https://hooks.example/", "event_types": ["session.created", "session.created"]}`,
		"a description with a control":  `{"url": "https://hooks.example/", "description": "a\u202eb"}`,
		"a secret of their own":         `{"url": "https://hooks.example/", "secret": "whsec_AAAA"}`,
		"a description that is too big": `{"url": "https://hooks.example/", "description": "` + strings.Repeat("a", 201) + `"}`,
	} {
		if w := post("/webhooks", body); w.Status != http.StatusBadRequest || w.Problem(t).Errors == nil || len(*w.Problem(t).Errors) == 0 {
			t.Errorf("%s: %d %s", what, w.Status, w.Body)
		}
	}
	for range 49 {
		wantStatus(t, "one more", post("/webhooks", good), http.StatusCreated)
	}
	wantStatus(t, "one too many", post("/webhooks", good), http.StatusConflict)
	if w := idp.API(t, key, http.MethodDelete, at, nil); w.Status != http.StatusNoContent {
		t.Errorf("delete: %d %s", w.Status, w.Body)
	}
	wantStatus(t, "delete again", idp.API(t, key, http.MethodDelete, at, nil), http.StatusNotFound)

	check(t, idp.Auditor.Sequence(t.Context()))
	var recorded []string
	for _, e := range func() []storage.Event {
		found, err := idp.Store.EventFeed(t.Context(), storage.EventFeed{Limit: 1000})
		check(t, err)
		return found
	}() {
		if e.Data["webhook"] == made.ID {
			recorded = append(recorded, string(e.Type))
			if e.ActorID == "" || strings.Contains(fmt.Sprint(e.Data), "token") {
				t.Errorf("%s: actor %q, data %v", e.Type, e.ActorID, e.Data)
			}
		}
	}
	want := []string{
		"webhook.created", "webhook.updated", "webhook.test", "webhook.replayed", "webhook.replayed", "webhook.secret_rotated",
		"webhook.disabled", "webhook.enabled", "webhook.deleted",
	}
	if !slices.Equal(recorded, want) {
		t.Errorf("G01 on the record: %v, want %v", recorded, want)
	}
}

// Whoever reads the webhooks page by page sees each once, also when one is deleted that
// they have just read.
func TestAPIWebhooksWhileDeleted(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := idp.APIKey(t, provider.PermissionWebhooksWrite, provider.PermissionEventsRead)
		var made []string
		for i := range 5 {
			var w api.Webhook
			ask(t, idp, key, http.StatusCreated, http.MethodPost, "/webhooks", object{"url": fmt.Sprintf("https://hooks.example/%d", i)}).Into(t, &w)
			made = append(made, w.ID)
		}
		var read []string
		for query := ""; ; {
			var page api.WebhookList
			ask(t, idp, key, http.StatusOK, http.MethodGet, "/webhooks?limit=2"+query, nil).Into(t, &page)
			for _, w := range page.Data {
				read = append(read, w.ID)
			}
			if page.NextCursor == nil {
				break
			}
			query = "&cursor=" + *page.NextCursor
			ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/webhooks/"+read[len(read)-1], nil)
		}
		if !slices.Equal(read, made) {
			t.Errorf("read %v, want %v", read, made)
		}
	})
}
