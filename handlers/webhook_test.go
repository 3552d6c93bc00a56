package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// receiver is what webhooks lead to, without a socket. It verifies what it gets with the
// library of Standard Webhooks.
type receiver struct {
	t testing.TB

	mu      sync.Mutex
	secret  string
	answer  func(id string, attempt int) int // nil: 200; zero: no answer at all
	tried   map[string]int                   // attempts, by id
	taken   map[string]int                   // of these answered with 2xx
	order   []string                         // ids, as they were taken
	bodies  map[string]webhookBody
	headers map[string]http.Header
}

// webhookBody is the body of a webhook.
type webhookBody struct {
	Type      string                `json:"type"`
	Timestamp time.Time             `json:"timestamp"`
	Data      provider.EventMessage `json:"data"`
}

func newReceiver(t testing.TB) *receiver {
	return &receiver{t: t, tried: map[string]int{}, taken: map[string]int{}, bodies: map[string]webhookBody{}, headers: map[string]http.Header{}}
}

// RoundTrip implements http.RoundTripper.
func (v *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("User-Agent") != "understudy" {
		v.t.Errorf("got %s %v", r.Method, r.Header)
	}
	key, err := standardwebhooks.NewWebhook(v.secret)
	if err == nil {
		err = key.Verify(body, r.Header)
	}
	if err != nil {
		v.t.Errorf("verify: %v", err)
		return replying(http.StatusBadRequest), nil
	}
	id := r.Header.Get("webhook-id")
	v.tried[id]++
	var p webhookBody
	if err := json.Unmarshal(body, &p); err != nil || p.Data.ID != id || p.Type != p.Data.Type || !p.Timestamp.Equal(p.Data.Time) {
		v.t.Errorf("body %s: %v", body, err)
	}
	v.bodies[id], v.headers[id] = p, r.Header.Clone()
	status := http.StatusOK
	if v.answer != nil {
		status = v.answer(id, v.tried[id])
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status < 300 {
		v.taken[id]++
		v.order = append(v.order, id)
	}
	return replying(status), nil
}

func replying(status int) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(nil)), Header: http.Header{}}
}

// says makes it answer with a status from now on.
func (v *receiver) says(status int) { v.answers(func(string, int) int { return status }) }

func (v *receiver) answers(fn func(id string, attempt int) int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = fn
}

func (v *receiver) count() (tried, taken int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.tried {
		tried += n
	}
	return tried, len(v.taken)
}

// hooked is a provider whose requests the receiver answers, and a webhook there.
func hooked(t testing.TB, idp *idptest.IDP, v *receiver, types ...string) (*provider.Webhooks, *storage.Webhook) {
	t.Helper()
	hooks := provider.NewWebhooks(idp.Provider)
	w := &storage.Webhook{URL: "https://hooks.example/in", EventTypes: types}
	check(t, idp.Auditor.Sequence(t.Context())) // what is past is not pushed
	secret, err := hooks.Create(t.Context(), w, byTest, time.Now())
	check(t, err)
	v.mu.Lock()
	v.secret = secret
	v.mu.Unlock()
	return hooks, w
}

// working runs the background work that brings events to webhooks, which looks every so
// often, until the function that it returns is called.
func working(t testing.TB, idp *idptest.IDP, every time.Duration, senders int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	runs := []func(context.Context) error{func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(every):
			}
			// Where another server writes for too long it is done the next time, as in the product.
			if err := idp.Auditor.Sequence(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrUnavailable) {
				return err
			}
		}
	}}
	for range senders {
		sender := provider.NewWebhookSender(idp.Provider)
		sender.Every = every
		runs = append(runs, sender.Run)
	}
	for _, run := range runs {
		go func() { done <- run(ctx) }()
	}
	return func() {
		cancel()
		for range runs {
			if err := <-done; err != nil {
				t.Errorf("background work: %v", err)
			}
		}
	}
}

// happen records an event.
func happen(t testing.TB, idp *idptest.IDP, e storage.Event, p storage.Private) {
	t.Helper()
	from := storage.Request{IP: p.IP, UserAgent: p.UserAgent}
	for {
		err := idp.Store.Write(t.Context(), func(tx *storage.Tx) error { return tx.Record(t.Context(), e, p, from, time.Now()) })
		if !errors.Is(err, storage.ErrUnavailable) { // another server writes for too long
			check(t, err)
			return
		}
	}
}

// sequenced returns the ids of the events in the tree from a position on.
func sequenced(t testing.TB, idp *idptest.IDP, from int64) (ids []string) {
	t.Helper()
	for {
		found, err := idp.Store.EventFeed(t.Context(), storage.EventFeed{From: from, Limit: 1000})
		check(t, err)
		if len(found) == 0 {
			return ids
		}
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		from = *found[len(found)-1].Position + 1
	}
}

// A receiver that is down for an hour gets everything that happened, once; and one that
// came back is not left waiting.
func TestWebhookReceiverDownForAnHour(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	clocked(t, idptest.Options{Provider: provider.Config{Transport: v}}, func(t *testing.T, idp *idptest.IDP) {
		_, w := hooked(t, idp, v)
		end := working(t, idp, 3*time.Second, 2)
		defer end()
		v.says(0)
		for i := range 360 {
			happen(t, idp, storage.Event{Type: storage.EventSessionCreated, SubjectID: fmt.Sprintf("usr_%d", i)}, storage.Private{})
			if time.Sleep(10 * time.Second); i == 180 {
				v.says(http.StatusBadGateway)
			}
		}
		tried, taken := v.count()
		if taken != 0 || tried < 10 || tried > 60 {
			t.Errorf("while it was down: %d attempts, %d taken", tried, taken)
		}
		backlog, err := idp.Store.Backlog(t.Context())
		check(t, err)
		if backlog.Deliveries < 360 || time.Since(backlog.Oldest.Time()) < 59*time.Minute || backlog.Events != 0 {
			t.Errorf("backlog %+v", backlog)
		}
		v.says(http.StatusNoContent)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		want := sequenced(t, idp, w.Position)
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, id := range want {
			if v.taken[id] != 1 {
				t.Errorf("%s was taken %d times", id, v.taken[id])
			}
		}
		if len(v.taken) != len(want) || len(want) < 361 {
			t.Errorf("%d of %d events were taken", len(v.taken), len(want))
		}
		backlog, err = idp.Store.Backlog(t.Context())
		check(t, err)
		if backlog != (storage.Backlog{}) {
			t.Errorf("left: %+v", backlog)
		}
	})
}

// A webhook that fails for days, or says that it is gone, is disabled, on the record;
// enabled again it gets what it missed.
func TestWebhookIsDisabled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		after  time.Duration
		why    storage.DisabledReason
	}{
		"gone":    {http.StatusGone, time.Hour, storage.DisabledGone},
		"failing": {http.StatusInternalServerError, 5*24*time.Hour + time.Hour, storage.DisabledFailing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newReceiver(t)
			clocked(t, idptest.Options{Provider: provider.Config{Transport: v}}, func(t *testing.T, idp *idptest.IDP) {
				hooks, w := hooked(t, idp, v, "session.*")
				end := working(t, idp, 10*time.Minute, 1)
				defer end()
				v.says(c.status)
				for passed := time.Duration(0); passed < c.after; passed += c.after / 10 {
					happen(t, idp, storage.Event{Type: storage.EventSessionCreated}, storage.Private{})
					time.Sleep(c.after / 10)
				}
				time.Sleep(30 * time.Minute)
				now, err := idp.Store.Webhook(t.Context(), w.ID)
				check(t, err)
				if now.Status != storage.WebhookDisabled || now.DisabledReason != c.why {
					t.Fatalf("got %+v", now)
				}
				found, err := idp.Store.EventFeed(t.Context(), storage.EventFeed{Types: []storage.EventType{storage.EventWebhookDisabled}})
				check(t, err)
				if len(found) != 1 || found[0].Data["webhook"] != w.ID || found[0].Data["reason"] != string(c.why) {
					t.Errorf("on the record: %+v", found)
				}
				happen(t, idp, storage.Event{Type: storage.EventSessionCreated}, storage.Private{})
				tried, _ := v.count()
				time.Sleep(time.Hour)
				if again, _ := v.count(); again != tried {
					t.Errorf("%d attempts after it was disabled", again-tried)
				}
				v.says(http.StatusOK)
				check(t, hooks.Enable(t.Context(), w.ID, byTest, time.Now()))
				if _, err := hooks.ReplayFailed(t.Context(), w.ID, time.Now().Add(-10*24*time.Hour), byTest, time.Now()); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if _, taken := v.count(); taken != 11 {
					t.Errorf("%d of 11 were taken", taken)
				}
			})
		})
	}
}

// Events that a webhook chokes on hold up nothing, are tried for three days, and can then
// be sent again.
func TestWebhookChokesOnOneEvent(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	clocked(t, idptest.Options{Provider: provider.Config{Transport: v}}, func(t *testing.T, idp *idptest.IDP) {
		hooks, w := hooked(t, idp, v, "session.created")
		end := working(t, idp, time.Minute, 1)
		defer end()
		for range 20 {
			happen(t, idp, storage.Event{Type: storage.EventSessionCreated, SubjectID: "usr_bad"}, storage.Private{})
		}
		check(t, idp.Auditor.Sequence(t.Context()))
		found, err := idp.Store.EventFeed(t.Context(), storage.EventFeed{SubjectID: "usr_bad"})
		check(t, err)
		bad := found[0].ID
		v.answers(func(id string, _ int) int {
			if v.bodies[id].Data.Subject == "usr_bad" {
				return http.StatusUnprocessableEntity
			}
			return http.StatusOK
		})
		for i := range 4 * 24 {
			happen(t, idp, storage.Event{Type: storage.EventSessionCreated}, storage.Private{})
			time.Sleep(time.Hour)
			if _, taken := v.count(); i >= 4 && taken < i { // but for the one that may be under way, once all of those were tried
				t.Errorf("after %d hours %d were taken", i+1, taken)
			}
		}
		d, err := idp.Store.Delivery(t.Context(), w.ID, bad)
		check(t, err)
		if d.Status != storage.DeliveryFailed || d.HTTPStatus != http.StatusUnprocessableEntity || d.Attempts < 60 || d.Attempts > 200 ||
			d.DoneAt.Time().Sub(d.TriedSince.Time()) < 70*time.Hour || d.Error != "the answer was 422" {
			t.Errorf("got %+v", d)
		}
		if _, taken := v.count(); taken != 4*24 {
			t.Errorf("%d others were taken", taken)
		}
		v.says(http.StatusOK)
		check(t, hooks.Replay(t.Context(), w.ID, bad, byTest, time.Now()))
		if err := hooks.Replay(t.Context(), w.ID, bad, byTest, time.Now()); !errors.Is(err, storage.ErrSpent) {
			t.Errorf("again at once: %v", err)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if v.taken[bad] != 1 {
			t.Errorf("replayed: taken %d times", v.taken[bad])
		}
	})
}

// What a receiver took is not sent again because the database was away just then.
func TestWebhookTakenWithoutDatabase(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{Transport: v}})
	_, w := hooked(t, idp, v, "session.created")
	db := database(t, idp)
	db.SetMaxOpenConns(1)
	v.answers(func(string, int) int {
		if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
			t.Error(err)
		}
		time.AfterFunc(1500*time.Millisecond, func() { _, _ = db.Exec(`ROLLBACK`) }) // longer than a write waits
		return http.StatusOK
	})
	end := working(t, idp, 10*time.Millisecond, 1)
	defer end()
	happen(t, idp, storage.Event{Type: storage.EventSessionCreated}, storage.Private{})
	eventually(t, "the delivery", func() bool { _, taken := v.count(); return taken > 0 })
	eventually(t, "what came of it", func() bool {
		found, err := idp.Store.Deliveries(t.Context(), storage.DeliverySearch{WebhookID: w.ID, Status: storage.DeliveryDelivered})
		check(t, err)
		return len(found) == 1
	})
	if tried, _ := v.count(); tried != 1 {
		t.Errorf("it was sent %d times, want 1", tried)
	}
}

// Of two senders each delivery is one's, on both databases; types are kept to; what was
// rotated signs for a day; a test goes out at once and to nobody else.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	each(t, idptest.Options{Provider: provider.Config{Transport: v}}, func(t *testing.T, idp *idptest.IDP) {
		*v = *newReceiver(t)
		v.says(http.StatusOK)
		hooks, w := hooked(t, idp, v, "impersonation.*", "session.created")
		first := v.secret
		end := working(t, idp, 10*time.Millisecond, 2)
		defer end()
		other := sync.OnceFunc(working(t, idp.Again(t), 10*time.Millisecond, 2))
		defer other()

		hostile := "<script>\u2028\x00\"}\n{\"type\":\"user.deleted\"} \u202e \xff"
		want := map[string]int{}
		for i := range 100 {
			happen(t, idp, storage.Event{Type: storage.EventUserUpdated}, storage.Private{})
			happen(t, idp, storage.Event{
				Type: storage.EventImpersonationStarted, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: hostile, ImpersonationID: fmt.Sprintf("imp_%d", i),
				OrganizationID: "org_globex", Data: storage.Data{"entry": hostile, "n": i},
			}, storage.Private{Reason: hostile, TicketRef: "T-1", IP: "192.0.2.1", UserAgent: hostile})
		}
		happen(t, idp, storage.Event{
			Type: storage.EventSessionCreated, ActorID: "usr_sam", SubjectID: "usr_ada", ImpersonationID: "imp_0",
		}, storage.Private{Reason: "Cannot see invoice 4711", ActorEmail: "sam@example.test"})
		eventually(t, "everything to be pushed", func() bool { _, taken := v.count(); return taken >= 101 })
		found, err := idp.Store.EventFeed(t.Context(), storage.EventFeed{From: w.Position, Limit: 1000})
		check(t, err)
		for _, e := range found {
			if e.Type == storage.EventImpersonationStarted || e.Type == storage.EventSessionCreated {
				want[e.ID] = 1
			}
		}
		v.mu.Lock()
		if !maps.Equal(v.taken, want) || len(want) != 101 {
			t.Errorf("taken: %d events, want %d once each", len(v.taken), len(want))
		}
		for id := range want {
			got := v.bodies[id].Data
			switch storage.EventType(got.Type) {
			case storage.EventSessionCreated:
				if got.Impersonator == nil || *got.Impersonator != (provider.Impersonator{Email: "sam@example.test", Reason: "Cannot see invoice 4711"}) {
					t.Errorf("impersonator %+v", got.Impersonator)
				}
			case storage.EventImpersonationStarted:
				if got.Actor != "usr_sam" || got.Subject != "usr_ada" || got.Organization != "org_globex" || got.TicketRef != "T-1" ||
					got.IP != "192.0.2.1" || !strings.HasPrefix(got.Reason, "<script>\u2028") || got.Impersonator != nil {
					t.Errorf("got %+v", got)
				}
			}
		}
		v.mu.Unlock()

		other() // nobody waits for its lock from now on

		second, err := hooks.RotateSecret(t.Context(), w.ID, byTest, time.Now())
		check(t, err)
		for _, secret := range []string{first, second} { // the receiver may learn of it any time
			v.mu.Lock()
			v.secret = secret
			v.mu.Unlock()
			d, err := hooks.Test(t.Context(), w.ID, byTest, time.Now())
			check(t, err)
			if d.Status != storage.DeliveryDelivered || d.HTTPStatus != http.StatusOK {
				t.Errorf("test: %+v", d)
			}
			if n := len(strings.Fields(v.headers[d.EventID].Get("webhook-signature"))); n != 2 {
				t.Errorf("%d signatures", n)
			}
		}
		row, err := idp.Store.Webhook(t.Context(), w.ID)
		check(t, err)
		if b, _ := json.Marshal(row); bytes.Contains(row.Secret, []byte("whsec")) || strings.Contains(string(b), second) {
			t.Error("the secret is in the database as it is")
		}
		exec(t, database(t, idp), `UPDATE webhooks SET previous_secret_until = 1`)
		d, err := hooks.Test(t.Context(), w.ID, byTest, time.Now())
		check(t, err)
		if n := len(strings.Fields(v.headers[d.EventID].Get("webhook-signature"))); n != 1 {
			t.Errorf("%d signatures a day later", n)
		}
		check(t, hooks.Disable(t.Context(), w.ID, byTest, time.Now()))
		v.says(http.StatusTeapot)
		d, err = hooks.Test(t.Context(), w.ID, byTest, time.Now())
		check(t, err)
		if d.Status != storage.DeliveryFailed || d.Error != "the answer was 418" {
			t.Errorf("a test that fails: %+v", d)
		}
		_, err = hooks.Test(t.Context(), w.ID, byTest, time.Now())
		check(t, err)
		if _, err = hooks.Test(t.Context(), w.ID, byTest, time.Now()); errors.As(err, &provider.Throttled{}) == false {
			t.Errorf("the sixth: %v", err)
		}
		check(t, hooks.Delete(t.Context(), w.ID, byTest, time.Now()))
		var left int
		check(t, database(t, idp).QueryRow(`SELECT COUNT(*) FROM webhook_deliveries`).Scan(&left))
		if left != 0 {
			t.Errorf("%d deliveries are left", left)
		}
	})
}
