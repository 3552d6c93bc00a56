package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

const (
	exportBatch = 500
	// exportStall is how long a browser may take to accept a batch.
	exportStall = 30 * time.Second
)

var exportTypes = map[string]string{provider.FormatCSV: "text/csv; charset=utf-8", provider.FormatJSONL: "application/jsonl"}

// exportEvents sends what the page's filter selects, oldest first, a batch at a time.
// That it was done is on the record before the first byte is sent, and a checkpoint
// is signed that covers all of it.
func (s *Server) exportEvents(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	format := form.Get("format")
	if exportTypes[format] == "" {
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "Choose CSV or JSONL."}
	}
	f, err := s.eventFilter(r, form)
	if err != nil {
		return err
	}
	if len(f.errors) > 0 {
		return s.showEvents(w, r, st, f)
	}
	now := time.Now()
	if err := s.recordExport(r, st, format, f, now); err != nil {
		return err
	}
	signed, size, broken := s.coverage(r.Context())
	if broken != nil && size == 0 {
		return broken
	}
	f.search.Covered = size
	w.Header().Set("Content-Type", exportTypes[format])
	w.Header().Set("Content-Disposition", `attachment; filename="record-`+now.UTC().Format("2006-01-02T150405Z")+"."+format+`"`)
	if err := s.sendEvents(r.Context(), w, format, f.search, signed, broken); err != nil {
		s.log.WarnContext(r.Context(), "an export was cut short", "request_id", requestID(r.Context()), "cause", err.Error())
		panic(http.ErrAbortHandler) // so that nobody takes the part for the whole
	}
	return nil
}

// recordExport records who took what. People are named by their ids.
func (s *Server) recordExport(r *http.Request, st *staff, format string, f *eventFilter, now time.Time) error {
	filter := map[string]any{}
	for field := range f.typed {
		filter[field] = f.typed.Get(field)
	}
	for field, id := range map[string]string{"actor": f.search.ActorID, "subject": f.search.SubjectID} {
		if id != "" {
			filter[field] = id
		}
	}
	return s.store.Write(r.Context(), func(tx *storage.Tx) error {
		return tx.Record(r.Context(), storage.Event{
			Type: storage.EventRecordExported, ActorID: st.User.ID, Data: storage.Data{"format": format, "filter": filter},
		}, storage.Private{}, s.info(r), now)
	})
}

// coverage signs the record as it is and returns the checkpoint and its size. Where
// the record does not allow that any more, it can still be exported, and the error
// is part of it.
func (s *Server) coverage(ctx context.Context) (signed string, size int64, err error) {
	c, err := s.auditor.Checkpoint(ctx)
	if err == nil {
		return c.Note, c.Size, nil
	}
	size, sizeErr := s.store.TreeSize(ctx)
	return "", size, errors.Join(err, sizeErr)
}

// sendEvents writes all that a search selects, and after the last line of JSON the
// checkpoint, or why there is none.
func (s *Server) sendEvents(ctx context.Context, w http.ResponseWriter, format string, search storage.EventSearch, signed string, broken error) error {
	out, err := provider.NewEventWriter(format, w)
	if err != nil {
		return err
	}
	answer := http.NewResponseController(w)
	search.After, search.Limit = storage.Mark{Time: 1}, exportBatch
	for {
		found, err := s.store.SearchEvents(ctx, search)
		if err != nil {
			return err
		}
		// A server has a deadline for the whole answer, which a long one outlasts.
		if err := answer.SetWriteDeadline(time.Now().Add(exportStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		for _, e := range found {
			if err := out.Write(&e); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if len(found) < exportBatch {
			break
		}
		last := found[len(found)-1]
		search.After = storage.Mark{Time: last.Time, ID: last.ID}
	}
	if format == provider.FormatJSONL {
		return writeCheckpoint(w, signed, broken)
	}
	return nil
}

// writeCheckpoint writes the last line of an export.
func writeCheckpoint(w io.Writer, signed string, broken error) error {
	last := map[string]string{"checkpoint": signed}
	if broken != nil {
		last = map[string]string{"checkpoint_error": broken.Error()}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(last)
}
