package handlers

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// bearerCookie holds the reference of a browser that has taken a ticket which needs no
// sign-in. It is no session: it answers one request, of one application, and stops what
// that started.
const bearerCookie = "_bearer"

// prefixBearer begins such a reference.
const prefixBearer = "ubr_"

// bearer returns the hash of the browser's reference, nil where it has none.
func (s *Server) bearer(r *http.Request) []byte {
	ref := s.cookie(r, bearerCookie)
	if !strings.HasPrefix(ref, prefixBearer) || len(ref) < 40 {
		return nil
	}
	return storage.Hash(ref)
}

// bearerLink returns the ticket of a link that needs no sign-in, nil where the link is
// another's business. One that cannot be taken any more is errLink.
func (s *Server) bearerLink(r *http.Request) (*storage.Ticket, error) {
	token := r.PathValue("ticket")
	if !strings.HasPrefix(token, provider.PrefixTicket) {
		return nil, nil
	}
	t, err := s.store.Ticket(r.Context(), storage.Hash(token))
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && t.Binding != storage.BindingBearer:
		return nil, nil
	case err != nil:
		return nil, err
	case !t.Pending(time.Now()), t.Bound():
		return nil, errLink
	}
	return t, nil
}

// bear gives the ticket to this browser, if it is the first, and takes it into the
// application. Nobody is signed in by that (SECURITY A17, A18).
func (s *Server) bear(w http.ResponseWriter, r *http.Request, t *storage.Ticket) error {
	ref := s.cookie(r, bearerCookie)
	if s.bearer(r) == nil {
		ref = provider.NewSecret(prefixBearer)
	}
	now, hash := time.Now(), storage.Hash(ref)
	expires := now.Add(impersonation.TicketLifetime)
	err := s.store.Write(r.Context(), func(tx *storage.Tx) error { return tx.BindTicketToBrowser(r.Context(), t.ID, hash, now, expires) })
	if errors.Is(err, storage.ErrSpent) {
		return errLink
	}
	if err != nil {
		return err
	}
	t.BrowserHash, t.BoundAt, t.ExpiresAt = hash, storage.At(now), storage.At(expires)
	// Until the last of what it may have to stop is over: there may be others.
	s.setCookie(w, bearerCookie, ref, impersonation.TicketLifetime+s.provider.Impersonation.Limits().MaxDuration)
	return s.deliver(w, r, nil, t)
}

// bears reports whether an impersonation was started in this browser without a sign-in.
func (s *Server) bears(r *http.Request, i *storage.Impersonation) bool {
	return len(i.BrowserHash) > 0 && bytes.Equal(i.BrowserHash, s.bearer(r))
}
