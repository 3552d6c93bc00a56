package handlers_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// counting answers every webhook and counts.
type counting struct{ n atomic.Int64 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	c.n.Add(1)
	return replying(http.StatusNoContent), err
}

// How long one event takes to a webhook that answers at once, from the tree on.
func BenchmarkWebhook(b *testing.B) {
	v := &counting{}
	idp := idptest.New(b, idptest.Options{Provider: provider.Config{Transport: v}})
	check(b, idp.Auditor.Sequence(b.Context()))
	hooks := provider.NewWebhooks(idp.Provider)
	_, err := hooks.Create(b.Context(), &storage.Webhook{URL: "https://hooks.example/", EventTypes: storage.List{"session.created"}}, byTest, time.Now())
	check(b, err)
	for range b.N {
		happen(b, idp, storage.Event{Type: storage.EventSessionCreated, ActorID: "usr_ada", SubjectID: "usr_ada"}, storage.Private{Reason: "Cannot see invoice 4711"})
	}
	check(b, idp.Auditor.Sequence(b.Context()))
	b.ResetTimer()
	end := working(b, idp, time.Millisecond, 1)
	eventually(b, "all to be sent", func() bool { return v.n.Load() >= int64(b.N) })
	b.StopTimer()
	end()
}
