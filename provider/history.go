package provider

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/understudy-id/understudy/storage"
)

// Happening is something in the history of somebody's account: an event, or an
// impersonation of them.
type Happening struct {
	Event         *storage.Event
	Impersonation *storage.Impersonation // nil: it is an event
}

// Mark is its place in the history.
func (h Happening) Mark() storage.Mark {
	if h.Impersonation != nil {
		return storage.Mark{Time: h.Impersonation.StartedAt, ID: h.Impersonation.ID}
	}
	return storage.Mark{Time: h.Event.Time, ID: h.Event.ID}
}

// historic are the events in people's history of their account.
var historic = []storage.EventType{
	storage.EventSessionCreated, storage.EventUserPasswordChanged, storage.EventSupportAccessChanged, storage.EventSupportAccessRequested,
}

// History returns what happened to somebody's account, latest first, and whether there
// is more beyond the span. Nobody can empty it (SECURITY A27): it is read from the
// record and from the impersonations themselves.
func (p *Provider) History(ctx context.Context, userID string, s storage.Span) (found []Happening, more bool, err error) {
	limit := s.Limit
	s.Limit++
	impersonations, err := p.store.ActedAs(ctx, userID, s)
	if err != nil {
		return nil, false, fmt.Errorf("load impersonations: %w", err)
	}
	events, err := p.store.EventsAbout(ctx, userID, historic, s)
	if err != nil {
		return nil, false, fmt.Errorf("load events: %w", err)
	}
	for i := range impersonations {
		found = append(found, Happening{Impersonation: &impersonations[i]})
	}
	for i := range events {
		found = append(found, Happening{Event: &events[i]})
	}
	slices.SortFunc(found, func(a, b Happening) int {
		x, y := a.Mark(), b.Mark()
		return -cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(x.ID, y.ID))
	})
	if len(found) <= limit {
		return found, false, nil
	}
	if s.After.Set() && !s.Before.Set() { // those nearest to the mark
		return found[len(found)-limit:], true, nil
	}
	return found[:limit], true, nil
}
