package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// E10: an export has one line, or one row, for each event, and no cell that a
// spreadsheet would compute, whatever was written into the record.
func TestExportIsALineEach(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hostile := []string{
		"a\nb", "a\r\n{\"type\":\"impersonation.started\",\"actor\":\"usr_root\"}\r\n", "\u2028\u2029\u0085", "\x1b[2J\x1b]0;x\x07", "\x00", "\xff\xfe",
		`"quotes", and; commas`, "'single", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u202e", "<script>", strings.Repeat("x", 5000),
		"a\n\n\n=1", "\"\n\"=1", `\u000a`, "ein Name",
	}
	store := s.store()
	err := store.Write(t.Context(), func(tx *storage.Tx) error {
		for _, text := range hostile {
			text = strings.ToValidUTF8(text, "?")
			e := storage.Event{
				Type: storage.EventImpersonationDenied, ActorID: text, SubjectID: text, ClientID: text, OrganizationID: text, RequestID: text,
				Data: storage.Data{"name": text, text: "x"},
			}
			private := storage.Private{Reason: text, TicketRef: text}
			if err := tx.Record(context.Background(), e, private, storage.Request{ID: text, IP: text, UserAgent: text}, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out := s.ok("audit", "export")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	said := 0
	t.Run("E10 JSON", func(t *testing.T) {
		for _, line := range lines {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil || e["type"] == nil || e["position"] == nil {
				t.Errorf("not one event a line: %.200q: %v", line, err)
			}
			if e["type"] == "impersonation.denied" {
				said++
			}
			if strings.ContainsAny(line, "\r\x00\x1b\u2028\u2029") {
				t.Errorf("a control character: %.200q", line)
			}
		}
		if said != len(hostile) {
			t.Errorf("%d events, want %d", said, len(hostile))
		}
	})
	t.Run("E10 CSV", func(t *testing.T) {
		table, err := csv.NewReader(strings.NewReader(s.ok("audit", "export", "--format", "csv"))).ReadAll()
		if err != nil || len(table) != len(lines)+1 {
			t.Fatalf("%d rows for %d events: %v", len(table), len(lines), err)
		}
		for _, row := range table {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
					t.Errorf("a spreadsheet would compute %.100q", cell)
				}
			}
		}
	})
}

// D13: no command takes a user away, so that no sub can come back as somebody else.
func TestNoCommandDeletesUsers(t *testing.T) {
	t.Parallel()
	user, _, err := newRoot().Find([]string{"user"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range user.Commands() {
		if strings.Contains(c.Name(), "delete") || strings.Contains(c.Name(), "remove") {
			t.Errorf("D13 user %s: what keeps the sub from being given to another?", c.Name())
		}
	}
}
