package storage

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

const checkpointText = "id.example.com/events\n37\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

func TestCheckpointText(t *testing.T) {
	t.Parallel()
	var root tlog.Hash
	for i := range root {
		root[i] = byte(i)
	}
	if got := CheckpointText("id.example.com/events", 37, root); got != checkpointText {
		t.Errorf("got %q, want %q", got, checkpointText)
	}
	origin, tree, err := ParseCheckpoint(checkpointText)
	if err != nil || origin != "id.example.com/events" || tree != (tlog.Tree{N: 37, Hash: root}) {
		t.Errorf("got %q, %v, %v", origin, tree, err)
	}
	for _, bad := range []string{
		"", "\n", "\n\n\n", checkpointText[1:], checkpointText + "\n", checkpointText + "more\n", strings.TrimSuffix(checkpointText, "\n"),
		strings.Replace(checkpointText, "37", "037", 1), strings.Replace(checkpointText, "37", "-1", 1),
		strings.Replace(checkpointText, "37", "+37", 1), strings.Replace(checkpointText, "37", "99999999999999999999", 1),
		strings.Replace(checkpointText, "\n37", "\r\n37", 1) + " ", strings.Replace(checkpointText, "8=", "9=", 1),
		strings.Replace(checkpointText, "AAEC", "AA\rEC", 1), strings.Replace(checkpointText, "id.example.com/events", "", 1),
	} {
		if bad == checkpointText[1:] {
			continue // another origin, no fault
		}
		if _, tree, err := ParseCheckpoint(bad); err == nil {
			t.Errorf("%q was read as %v", bad, tree)
		}
	}
}

// What is accepted has one spelling.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add(checkpointText)
	f.Add("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add("\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		origin, tree, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		if again := CheckpointText(origin, tree.N, tree.Hash); again != text {
			t.Errorf("got %q from %q", again, text)
		}
	})
}

func TestCheckpoints(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		_, err := s.LatestCheckpoint(t.Context())
		wantErr(t, "none yet", err, ErrNotFound)
		create := func(size int64) error {
			return s.Write(t.Context(), func(tx *Tx) error {
				return tx.CreateCheckpoint(t.Context(), &Checkpoint{size, "note", At(t0)})
			})
		}
		for _, size := range []int64{9, 10, 2, 0} {
			wantErr(t, "create", create(size), nil)
		}
		wantErr(t, "create again", create(9), ErrExists)
		if c, err := s.LatestCheckpoint(t.Context()); err != nil || *c != (Checkpoint{10, "note", At(t0)}) {
			t.Errorf("latest: got %v, %v", c, err)
		}
		all, err := s.Checkpoints(t.Context())
		if err != nil || len(all) != 4 || all[0].Size != 0 || all[3].Size != 10 {
			t.Errorf("all: got %v, %v", all, err)
		}
	})
}
