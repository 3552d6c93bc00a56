package provider

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

// SECURITY E10: no cell is a formula, whatever somebody gave as a reason.
func TestGuardCell(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx", "'=x": "'=x",
	} {
		if got := guardCell(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// SECURITY E10, G05: one event is one record in either format.
func TestEventWriter(t *testing.T) {
	position := int64(7)
	e := &storage.Event{
		ID: "evt_1", Position: &position, Type: storage.EventImpersonationStarted, ActorID: "=cmd|' /C calc'!A0",
		Data: storage.Data{"x": "a\nb"}, Private: `{"salt":"s","reason":"=1+1\n{\"event\":\"fake\"}","ip":"@x"}`,
	}
	for _, format := range []string{FormatCSV, FormatJSONL} {
		var b strings.Builder
		w, err := NewEventWriter(format, &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range []*storage.Event{e, {ID: "evt_2"}} {
			if err := w.Write(event); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if format == FormatJSONL {
			if lines := strings.Split(b.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], `{"position":null,"id":"evt_2"`) {
				t.Errorf("got %q", lines)
			}
			continue
		}
		rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
		if err != nil || len(rows) != 3 {
			t.Fatalf("got %q, %v", rows, err)
		}
		for _, cell := range rows[1] {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("%q is a formula", cell)
			}
		}
	}
	if err := (csvEvents{csv.NewWriter(&strings.Builder{})}).Write(&storage.Event{Private: "{"}); err == nil {
		t.Error("a private part that is no JSON: got no error")
	}
	if _, err := NewEventWriter("xml", nil); err == nil || err.Error() != `format "xml": want jsonl or csv` {
		t.Errorf("got %v", err)
	}
}
