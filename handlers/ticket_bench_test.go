package handlers_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// stack is tickets that wait to be redeemed, of many actors, as the limits have it.
type stack struct {
	sync.Mutex
	idp     *idptest.IDP
	logins  []*storage.Login
	cookies []string // of each
	tickets []string
	made    int
}

func newStack(b *testing.B, idp *idptest.IDP) *stack {
	s := &stack{idp: idp}
	for range 100 {
		browser := person(b, idp, agent(b, idp))
		cookie := browser.Cookies["__Host-understudy"]
		l, err := idp.Store.Login(b.Context(), storage.Hash(cookie), time.Now())
		check(b, err)
		s.logins, s.cookies = append(s.logins, l), append(s.cookies, cookie)
	}
	return s
}

// next takes one, with a browser that may redeem it. Many are made at once, which adds
// little to a redemption.
func (s *stack) next(b *testing.B) (*idptest.Browser, string) {
	s.Lock()
	defer s.Unlock()
	if len(s.tickets) == 0 {
		s.made = 0
		s.idp.Write(b, func(ctx context.Context, tx *storage.Tx) error {
			for i := range 1000 {
				l, now := s.logins[i%len(s.logins)], time.Now()
				t := &storage.Ticket{
					ID: storage.NewID("tkt"), TokenHash: storage.Hash(storage.NewID("x")), ActorID: l.UserID, SubjectID: "usr_ada", ClientID: "app",
					OrganizationID: "org_globex", LoginSID: l.SID, Binding: storage.BindingActorSession, Reason: "Cannot see invoice 4711",
					Access: string(impersonation.ReadOnly), Duration: (30 * time.Minute).Microseconds(), Entry: "console", Delivery: "initiate_login",
					CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
				}
				if err := tx.CreateTicket(ctx, t); err != nil {
					return err
				}
				s.tickets = append(s.tickets, t.ID)
			}
			return nil
		})
	}
	handle, cookie := s.tickets[0], s.cookies[s.made%len(s.cookies)]
	s.tickets, s.made = s.tickets[1:], s.made+1
	return &idptest.Browser{IDP: s.idp, Cookies: map[string]string{"__Host-understudy": cookie}}, handle
}

// BenchmarkTicketLogin redeems tickets: what BenchmarkLogin does, as somebody else.
func BenchmarkTicketLogin(b *testing.B) {
	idp := benchIDP(b)
	s := newStack(b, idp)
	bench(b, "ES256", func(int) func() error {
		return func() error {
			browser, handle := s.next(b)
			w := browser.Get(idptest.Request(func(q url.Values) { q.Set("login_hint", handle) }))
			_, err := exchange(idp, w)
			return err
		}
	})
}
