package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// event shows one record as a whole, and what the tree commits to for it.
func (s *Server) event(w http.ResponseWriter, r *http.Request, st *staff) error {
	e, err := s.store.Event(r.Context(), r.PathValue("event"))
	if errors.Is(err, storage.ErrNotFound) {
		return errNoPage
	}
	if err != nil {
		return err
	}
	names, err := s.store.NamesIn(r.Context(), []storage.Event{*e})
	if err != nil {
		return err
	}
	p := templates.EventPage{Page: s.consoleFrame(r, st), Row: eventRow(e, names), Now: time.Now()}
	if p.JSON, err = recordJSON(e); err != nil {
		return err
	}
	hash, err := e.Hash()
	if err != nil {
		return err
	}
	p.Hash = hash.String()
	if e.Position != nil {
		c, err := s.store.CheckpointOver(r.Context(), *e.Position)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err == nil {
			p.Checkpoint = checkpointRow(c)
		}
	}
	return s.pages.Event(w, http.StatusOK, p)
}

// recordJSON spells an event for people. One whose private part is damaged is shown
// without it: that is what somebody looks at then.
func recordJSON(e *storage.Event) (string, error) {
	record, _ := provider.EventRecordOf(e)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // the page escapes
	encoder.SetIndent("", "  ")
	err := encoder.Encode(record)
	return b.String(), err
}

// badge says how the last verification of the record went.
func (s *Server) badge() templates.Badge {
	v, now := s.auditor.Verified(), time.Now()
	b := templates.Badge{At: v.Whole, Now: now, Records: v.Size, State: "stale"}
	switch {
	case v.Fresh(now):
		b.State, b.Root = "whole", v.Root.String()
	case v.Wrong != nil:
		b.State, b.At = "wrong", v.At
		if v.Fault != nil {
			b.Position, b.Broken = v.Fault.Position, true
		}
	}
	return b
}

// shownCheckpoints is how many checkpoints the page about verification shows.
const shownCheckpoints = 10

// verification says what is known of the record's integrity, and how anybody else
// can check it.
func (s *Server) verification(w http.ResponseWriter, r *http.Request, st *staff) error {
	v := s.auditor.Verified()
	p := templates.VerificationPage{
		Page: s.consoleFrame(r, st), Badge: s.badge(), Now: time.Now(),
		At: v.At, Took: v.Took, Compared: v.Checkpoints, Pending: v.Pending, Erased: v.Erased,
	}
	if v.Wrong != nil {
		p.Wrong = v.Wrong.Error()
	}
	if v.Failed != nil {
		p.Failed = "It could not be read when it was tried last. The server's log says why."
	}
	latest, err := s.store.LatestCheckpoints(r.Context(), shownCheckpoints)
	if err != nil {
		return err
	}
	for i, c := range latest {
		p.Checkpoints = append(p.Checkpoints, *checkpointRow(&c))
		if i == 0 {
			p.Note = c.Note
		}
	}
	if p.Key, err = s.auditor.VerifierKey(); err != nil {
		return err
	}
	return s.pages.Verification(w, http.StatusOK, p)
}

// checkpointRow says of a checkpoint what a list shows. One that cannot be read has no
// root.
func checkpointRow(c *storage.Checkpoint) *templates.CheckpointRow {
	row := &templates.CheckpointRow{Size: c.Size, At: c.CreatedAt.Time()}
	text, _, _ := strings.Cut(c.Note, "\n\n")
	if _, tree, err := storage.ParseCheckpoint(text + "\n"); err == nil {
		row.Root = tree.Hash.String()
	}
	return row
}

// verifyWait is how long a page waits for the record to be read.
const verifyWait = 5 * time.Second

// verifyNow has the record read again. A long one goes on being read in the
// background.
func (s *Server) verifyNow(w http.ResponseWriter, r *http.Request, _ *staff) error {
	ctx, cancel := context.WithTimeout(r.Context(), verifyWait)
	defer cancel()
	done := "verified"
	if err := s.auditor.VerifyNow(ctx); err != nil {
		done = "verifying"
	}
	redirect(w, "/admin/events/verification?done="+done)
	return nil
}
