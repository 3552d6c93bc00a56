package provider

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// hooksOn are the webhooks of a provider on a new database, which may call the networks.
func hooksOn(t testing.TB, allowed ...netip.Prefix) (*Webhooks, *Keyring) {
	t.Helper()
	store := migratedStore(t)
	keys, err := NewKeyring(store, testSecret)
	if err == nil {
		err = keys.Ensure(t.Context(), time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	return NewWebhooks(New(Config{Issuer: "https://id.example", AllowedNetworks: allowed}, store, keys, slog.New(slog.DiscardHandler))), keys
}

// F10: what an address that was taken leads to when it is called, over real sockets.
func TestWebhookReach(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	called := 0
	mux.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) { called++ })
	mux.Handle("/elsewhere", http.RedirectHandler("/ok", http.StatusTemporaryRedirect))
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", maxOutgoingBytes+1)))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, c := range map[string]struct {
		allowed []netip.Prefix
		url     string
		status  storage.DeliveryStatus
		answer  int64
		cause   string
	}{
		"an allowed network":   {loopback, server.URL + "/ok", storage.DeliveryDelivered, 200, ""},
		"a large answer":       {loopback, server.URL + "/large", storage.DeliveryDelivered, 200, ""},
		"a redirect":           {loopback, server.URL + "/elsewhere", storage.DeliveryFailed, 307, "the answer was 307"},
		"loopback":             {nil, server.URL + "/ok", storage.DeliveryFailed, 0, errForbiddenAddress.Error()},
		"a name of loopback":   {nil, "https://localhost" + port + "/ok", storage.DeliveryFailed, 0, errForbiddenAddress.Error()},
		"http to another host": {loopback, "http://hooks.example/ok", storage.DeliveryFailed, 0, errForbiddenAddress.Error()},
		"user information":     {loopback, "https://a:b@127.0.0.1" + port + "/ok", storage.DeliveryFailed, 0, errForbiddenAddress.Error()},
		"nobody listens":       {loopback, "https://127.0.0.1:1/ok", storage.DeliveryFailed, 0, "connection refused"},
		"no TLS":               {loopback, "https://127.0.0.1" + port + "/ok", storage.DeliveryFailed, 0, "HTTP response to HTTPS client"},
	} {
		t.Run(name, func(t *testing.T) {
			hooks, keys := hooksOn(t, c.allowed...)
			called = 0
			w := &storage.Webhook{ID: "wh_1", URL: c.url, Secret: keys.sealWebhook("wh_1", []byte(newWebhookSecret()))} // as somebody's SQL could add it
			err := hooks.store.Write(t.Context(), func(tx *storage.Tx) error { return tx.CreateWebhook(t.Context(), w, time.Now()) })
			if err != nil {
				t.Fatal(err)
			}
			d, err := hooks.Test(t.Context(), w.ID, storage.Cause{}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if d.Status != c.status || d.HTTPStatus != c.answer || !strings.Contains(d.Error, c.cause) || c.cause == "" && d.Error != "" {
				t.Errorf("got %+v", d)
			}
			if want := map[bool]int{true: 1}[c.url == server.URL+"/ok" && c.status == storage.DeliveryDelivered]; called != want {
				t.Errorf("called %d times, want %d", called, want)
			}
		})
	}
}

// What an answer, or none, makes of a delivery.
func TestJudgeDelivery(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	failure := &url.Error{Op: "Post", URL: "https://hooks.example/?key=secret", Err: errors.New("no route")}
	for name, c := range map[string]struct {
		status int
		err    error
		tried  time.Duration
		kind   storage.EventType
		want   storage.DeliveryStatus
	}{
		"200":                       {status: 200, want: storage.DeliveryDelivered},
		"202, then the line broke":  {status: 202, err: failure, want: storage.DeliveryDelivered},
		"200, late":                 {status: 200, tried: 100 * time.Hour, want: storage.DeliveryDelivered},
		"302":                       {status: 302, want: storage.DeliveryPending},
		"400":                       {status: 400, want: storage.DeliveryPending},
		"410":                       {status: 410, want: storage.DeliveryFailed},
		"500":                       {status: 500, want: storage.DeliveryPending},
		"no answer":                 {err: failure, want: storage.DeliveryPending},
		"nearly three days":         {status: 500, tried: 72*time.Hour - 41*time.Second, want: storage.DeliveryPending},
		"three days":                {status: 500, tried: 72 * time.Hour, want: storage.DeliveryFailed},
		"a test that nobody wanted": {status: 500, kind: storage.EventWebhookTest, want: storage.DeliveryFailed},
	} {
		d := &storage.Delivery{Status: storage.DeliveryPending, Attempts: 4, TriedSince: storage.At(now.Add(-c.tried)), EventType: c.kind, Error: "before"}
		judgeDelivery(d, c.status, c.err, 0.5, now)
		if d.Status != c.want || d.HTTPStatus != int64(c.status) || strings.Contains(d.Error, "secret") || (d.Error == "") != (c.want == storage.DeliveryDelivered) {
			t.Errorf("%s: got %+v", name, d)
		}
		if next := storage.At(now.Add(40 * time.Second)); d.Status == storage.DeliveryPending && d.NextAttemptAt != next {
			t.Errorf("%s: next attempt at %v, want %v", name, d.NextAttemptAt.Time(), next.Time())
		}
	}
}

// Secrets of webhooks move to another system secret with the keys, and open as nobody
// else's.
func TestWebhookSecretsAreEncryptedAnew(t *testing.T) {
	t.Parallel()
	hooks, _ := hooksOn(t)
	now := time.Now()
	w := &storage.Webhook{URL: "https://hooks.example/"}
	if _, err := hooks.Create(t.Context(), w, storage.Cause{}, now); err != nil {
		t.Fatal(err)
	}
	secret, err := hooks.RotateSecret(t.Context(), w.ID, storage.Cause{}, now)
	if err != nil {
		t.Fatal(err)
	}
	const another = "another system secret that is long enough"
	both, err := NewKeyring(hooks.store, another, testSecret)
	if err == nil {
		_, err = both.Maintain(t.Context(), 0, time.Hour, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	alone, err := NewKeyring(hooks.store, another)
	if err != nil {
		t.Fatal(err)
	}
	row, err := hooks.store.Webhook(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := alone.webhookSecrets(row, now)
	if err != nil || len(got) != 2 || got[0] != secret {
		t.Errorf("got %d secrets, %v", len(got), err)
	}
	if previous := alone.SealedWebhooks([]storage.Webhook{*row}); len(previous) != 0 {
		t.Errorf("still with an earlier secret: %v", previous)
	}
	if _, _, err := alone.unsealWebhook("wh_other", row.Secret); !errors.Is(err, ErrSecret) {
		t.Errorf("as another's: %v", err)
	}
	if got, err := alone.webhookSecrets(row, now.Add(secretOverlap)); err != nil || len(got) != 1 {
		t.Errorf("a day later: %d secrets, %v", len(got), err)
	}
}
