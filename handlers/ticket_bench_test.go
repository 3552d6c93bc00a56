package handlers_test

import (
	"context"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// startsEach is how often somebody acts as another within an hour, as the limits have it.
const startsEach = 5

// staff is who can start n impersonations, signed in. Take one and put them back.
func staff(b *testing.B, idp *idptest.IDP, n int) chan *idptest.Browser {
	people := make(chan *idptest.Browser, 32+n/startsEach)
	for range cap(people) {
		people <- person(b, idp, agent(b, idp))
	}
	return people
}

// pending is a ticket with the browser that may redeem it.
type pending struct {
	browser *idptest.Browser
	handle  string
}

// tickets makes n that wait to be redeemed.
func tickets(b *testing.B, idp *idptest.IDP, n int) chan pending {
	people, made := staff(b, idp, n), make(chan pending, n)
	idp.Write(b, func(ctx context.Context, tx *storage.Tx) error {
		for range n {
			actor := <-people
			people <- actor
			handle, err := ticketOf(ctx, tx, actor)
			if err != nil {
				return err
			}
			made <- pending{showing(b, idp, maps.Clone(actor.Cookies)), handle}
		}
		return nil
	})
	return made
}

// ticketOf makes a ticket of who is signed in in a browser, as the console would.
func ticketOf(ctx context.Context, tx *storage.Tx, actor *idptest.Browser) (handle string, err error) {
	now := time.Now()
	l, err := tx.Login(ctx, storage.Hash(actor.Cookies["__Host-understudy"]), now)
	if err != nil {
		return "", err
	}
	t := &storage.Ticket{
		ID: storage.NewID("tkt"), TokenHash: storage.Hash(storage.NewID("x")), ActorID: l.UserID, SubjectID: "usr_ada", ClientID: "app",
		OrganizationID: "org_globex", LoginSID: l.SID, Binding: storage.BindingActorSession, Reason: "Cannot see invoice 4711",
		Access: string(impersonation.ReadOnly), Duration: (30 * time.Minute).Microseconds(), Entry: "console", Delivery: "initiate_login",
		CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
	}
	return t.ID, tx.CreateTicket(ctx, t)
}

// BenchmarkTicketLogin redeems tickets: what BenchmarkLogin does, as somebody else.
func BenchmarkTicketLogin(b *testing.B) {
	idp := benchIDP(b)
	var waiting chan pending
	bench(b, "ES256", func(b *testing.B, worker int) func() error {
		if worker == 0 {
			waiting = tickets(b, idp, b.N)
		}
		return func() error {
			t := <-waiting
			w := t.browser.Get(idptest.Request(func(q url.Values) { q.Set("login_hint", t.handle) }))
			_, err := exchange(idp, w)
			return err
		}
	})
}
