package provider

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	day      = 24 * time.Hour
	interval = 90 * day
	longest  = day
)

// tokenKey is a key of a table: when it begins to sign, from testTime.
func tokenKey(id, alg string, activates time.Duration) storage.SigningKey {
	return storage.SigningKey{ID: id, Purpose: purposeToken, Alg: alg, ActivatesAt: storage.At(testTime.Add(activates))}
}

func retired(key storage.SigningKey, at time.Duration) storage.SigningKey {
	key.RetiredAt = storage.At(testTime.Add(at))
	return key
}

// Each row is one thing that time, or somebody, does to two fresh keys.
func TestKeysDue(t *testing.T) {
	t.Parallel()
	const es, rs = algES256, algRS256
	fresh := []storage.SigningKey{tokenKey("a", es, 0), tokenKey("b", rs, 0)}
	with := func(more ...storage.SigningKey) []storage.SigningKey { return append(slices.Clone(fresh), more...) }
	for _, test := range []struct {
		name     string
		keys     []storage.SigningKey
		interval time.Duration
		after    time.Duration
		next     string
		gone     string
	}{
		{"I03 fresh", fresh, interval, 0, "", ""},
		{"I03 a moment before", fresh, interval, 89*day - 1000, "", ""},
		{"I03 a day before the interval is over", fresh, interval, 89 * day, rs + " " + es, ""},
		{"I03 nobody looked for a year", fresh, interval, 365 * day, rs + " " + es, ""},
		{"switched off", fresh, 0, 365 * day, "", ""},
		{"an interval shorter than a day", fresh, time.Hour, time.Second, rs + " " + es, ""},
		{"I03 the next is published", with(tokenKey("c", es, 90*day)), interval, 89*day + time.Hour, rs, ""},
		{"the next has just begun", with(tokenKey("c", es, 90*day)), interval, 90 * day, rs, ""},
		{"I03 the last token may be of use", with(tokenKey("c", es, 90*day)), interval, 91*day + takeUp - 1000, rs, ""},
		{"I03 the last token is of no use", with(tokenKey("c", es, 90*day)), interval, 91*day + takeUp, rs, "a"},
		{"several were replaced", with(tokenKey("c", es, 90*day), tokenKey("d", es, 180*day)), 0, 182 * day, "", "a c"},
		{"another algorithm's key replaces nothing", with(tokenKey("c", es, 90*day)), 0, 365 * day, "", "a"},
		{"a retired key replaces nothing", with(retired(tokenKey("c", es, 90*day), 91*day)), 0, 91*day + time.Hour, "", ""},
		{"a retired key is not the newest", with(retired(tokenKey("c", es, 89*day), 89*day)), interval, 89 * day, rs + " " + es, ""},
		{"a retired key is shown for a while", with(retired(tokenKey("c", es, 1), 2*day)), 0, 3*day - 1000, "", ""},
		{"and then removed", with(retired(tokenKey("c", es, 1), 2*day)), 0, 3 * day, "", "c"},
		{"B09 the clock is set back by an hour", fresh, interval, -time.Hour, "", ""},
		{"B09 the clock is set back by a year", with(tokenKey("c", es, day)), interval, -365 * day, "", ""},
		{"B09 set back after the next was published", with(tokenKey("c", es, 90*day), tokenKey("d", rs, 90*day)), interval, 88 * day, "", ""},
		{"B09 the next was made by a clock a year ahead", with(tokenKey("c", es, 365*day), tokenKey("d", rs, 365*day)), interval, 100 * day, "", ""},
		{"checkpoint keys stay", []storage.SigningKey{
			{ID: "x", Purpose: purposeCheckpoint, Alg: "EdDSA", ActivatesAt: storage.At(testTime)},
			{ID: "y", Purpose: purposeCheckpoint, Alg: "EdDSA", ActivatesAt: storage.At(testTime.Add(1))},
		}, interval, 1000 * day, "", ""},
		{"no keys", nil, interval, 0, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := keysDue(test.keys, test.interval, longest, testTime.Add(test.after))
			var gone []string
			for _, key := range got.gone {
				gone = append(gone, key.ID)
			}
			if next := strings.Join(got.next, " "); next != test.next {
				t.Errorf("next: got %q, want %q", next, test.next)
			}
			if gone := strings.Join(gone, " "); gone != test.gone {
				t.Errorf("gone: got %q, want %q", gone, test.gone)
			}
		})
	}
}

func TestKeyStatuses(t *testing.T) {
	t.Parallel()
	checkpoint := storage.SigningKey{ID: "k", Purpose: purposeCheckpoint, Alg: "EdDSA", ActivatesAt: storage.At(testTime)}
	keys := []storage.SigningKey{
		retired(tokenKey("a", algES256, 0), day), checkpoint, tokenKey("b", algES256, day), tokenKey("c", algRS256, 2*day), tokenKey("d", algES256, 9*day),
	}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{
		{0, "retired signing signing signing next"}, // the first of its kind signs although it is early
		{2 * day, "retired signing signing signing next"},
		{9 * day, "retired signing verifying signing signing"},
		{-day, "retired signing signing signing next"}, // what was retired stays so
	} {
		var got []string
		for _, s := range KeyStatuses(keys, longest, testTime.Add(test.after)) {
			got = append(got, string(s.State))
			if until := testTime.Add(10*day + takeUp); s.State == KeyVerifying && !s.Until.Equal(until) {
				t.Errorf("after %v: verifies until %v, want %v", test.after, s.Until, until)
			}
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("after %v: got %s, want %s", test.after, got, test.want)
		}
	}
}

// kidsOf returns the ids of the token keys that sign.
func kidsOf(t testing.TB, k *Keyring) map[string]string {
	t.Helper()
	kids := map[string]string{}
	for _, alg := range []string{algES256, algRS256} {
		kids[alg] = kidOf(t, k, alg)
	}
	return kids
}

func kidOf(t testing.TB, k *Keyring, alg string) string {
	t.Helper()
	token, err := k.sign(alg, typIDToken, map[string]any{"sub": "ada"})
	if err != nil {
		t.Fatal(err)
	}
	for id := range k.current().byID {
		key := k.current().byID[id]
		only := &Keyring{}
		only.keys.Store(&keys{byID: map[string]*publicKey{id: key}})
		if _, err := only.verify(token, typIDToken); err == nil {
			return id
		}
	}
	t.Fatalf("no published key verifies %s", token)
	return ""
}

func eventsOf(t testing.TB, s *storage.Store, kind storage.EventType) []storage.Event {
	t.Helper()
	if _, err := s.Sequence(t.Context(), "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), storage.EventFilter{Types: []storage.EventType{kind}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// together runs fn for each of several processes at once.
func together(t testing.TB, dsn string, n int, fn func(k *Keyring) error) []*Keyring {
	t.Helper()
	rings := make([]*Keyring, n)
	for i := range rings {
		rings[i] = newTestKeyring(t, openTestStore(t, dsn))
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, k := range rings {
		all.Go(func() { errs[i] = fn(k) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return rings
}

// I03, R8: of several processes one publishes the next key, a day before it
// signs, and one removes what is of no more use.
func TestMaintain(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		k := newTestKeyring(t, openTestStore(t, dsn))
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		first := kidsOf(t, k)
		at := testTime.Add(interval - publishAhead)
		var mu sync.Mutex
		var published []string
		maintain := func(at time.Time) []*Keyring {
			return together(t, dsn, 6, func(k *Keyring) error {
				done, err := k.Maintain(ctx, interval, longest, at)
				mu.Lock()
				defer mu.Unlock()
				published = append(published, done.Published...)
				return err
			})
		}
		rings := maintain(at)
		if len(published) != 2 {
			t.Fatalf("published %q, want one key of each algorithm", published)
		}
		for i, k := range rings {
			if set, _ := k.Set(); strings.Count(string(set), `"kid"`) != 4 {
				t.Errorf("process %d publishes %s", i, set)
			}
			if now := kidsOf(t, k); !maps.Equal(now, first) {
				t.Errorf("process %d signs with %v, want %v", i, now, first)
			}
		}
		for _, later := range []time.Duration{publishAhead, publishAhead + longest, publishAhead + longest + takeUp} {
			rings = maintain(at.Add(later))
		}
		if len(published) != 2 {
			t.Errorf("published %q, want no more", published)
		}
		for i, k := range rings {
			if set, _ := k.Set(); strings.Count(string(set), `"kid"`) != 2 {
				t.Errorf("process %d publishes %s", i, set)
			}
			for alg, kid := range kidsOf(t, k) {
				if !slices.Contains(published, kid) {
					t.Errorf("process %d signs %s with %s, want one of %q", i, alg, kid, published)
				}
			}
		}
		if n := len(eventsOf(t, k.store, storage.EventKeyCreated)); n != 5 {
			t.Errorf("%d events of keys that were created, want 5", n)
		}
		if n := len(eventsOf(t, k.store, storage.EventKeyRetired)); n != 2 {
			t.Errorf("%d events of keys that were retired, want 2", n)
		}
	})
}

// B09: a clock that jumps makes no key that was not due, and takes no key away that
// a token of its own time needs.
func TestMaintainByABadClock(t *testing.T) {
	t.Parallel()
	ctx, k := t.Context(), newTestKeyring(t, migratedStore(t))
	if err := k.Ensure(ctx, testTime); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for at := testTime; at.Before(testTime.Add(100 * day)); at = at.Add(12 * time.Hour) {
		now := at.Add(time.Duration(random.Int64N(int64(4*time.Hour))) - 2*time.Hour)
		if _, err := k.Maintain(ctx, interval, longest, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(eventsOf(t, k.store, storage.EventKeyCreated)); n != 5 {
		t.Errorf("%d keys were made in 100 days, want 5", n)
	}
}

// Who rotates twice, or at the same time as somebody else, has one next key.
func TestRotateTwice(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		k := newTestKeyring(t, openTestStore(t, dsn))
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		made, next := 0, map[string]bool{}
		rotate := func(at time.Time) {
			together(t, dsn, 6, func(k *Keyring) error {
				keys, err := k.Rotate(ctx, []string{algES256, algES256}, storage.Cause{}, at)
				mu.Lock()
				defer mu.Unlock()
				for _, key := range keys {
					if key.Made {
						made++
					}
					next[key.ID] = true
				}
				return err
			})
		}
		rotate(testTime)
		rotate(testTime.Add(publishAhead - time.Second))
		if made != 1 || len(next) != 1 {
			t.Errorf("made %d keys, %v, want 1", made, next)
		}
		rotate(testTime.Add(publishAhead))
		if made != 2 || len(next) != 2 {
			t.Errorf("a day later: made %d keys, %v, want 2", made, next)
		}
		if _, err := k.Rotate(ctx, []string{algES256, "EdDSA"}, storage.Cause{}, testTime.Add(3*publishAhead)); err == nil {
			t.Error("rotated the checkpoint key")
		}
	})
}

// What a key signed that somebody else may have is worth nothing at once, and
// stays so whatever the clocks say.
func TestReplace(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		k := newTestKeyring(t, openTestStore(t, dsn))
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Rotate(ctx, []string{algES256}, storage.Cause{}, testTime); err != nil {
			t.Fatal(err)
		}
		before := kidsOf(t, k)
		token, err := k.sign(algES256, typIDToken, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		forgotten := false
		k.changed = func() { forgotten = true }
		if err := k.Replace(ctx, []string{algES256}, storage.Cause{}, testTime.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !forgotten {
			t.Error("verified tokens are remembered")
		}
		other := newTestKeyring(t, openTestStore(t, dsn)) // another process, whose clock is behind
		for name, now := range map[string]time.Time{"in time": testTime.Add(time.Hour), "behind": testTime.Add(-time.Hour), "a day later": testTime.Add(25 * time.Hour)} {
			if err := other.Load(ctx, now); err != nil {
				t.Fatal(err)
			}
			if _, err := other.verify(token, typIDToken); err == nil {
				t.Errorf("%s: a token of the replaced key counts", name)
			}
			if now := kidOf(t, other, algES256); now == before[algES256] || now != kidOf(t, k, algES256) {
				t.Errorf("%s: signs with %s", name, now)
			}
			if now := kidOf(t, other, algRS256); now != before[algRS256] {
				t.Errorf("%s: the other algorithm signs with %s, want %s", name, now, before[algRS256])
			}
			if set, _ := other.Set(); strings.Count(string(set), `"kid"`) != 2 {
				t.Errorf("%s: publishes %s", name, set)
			}
		}
		events := eventsOf(t, k.store, storage.EventKeyRetired)
		if len(events) != 2 || events[0].Data["reason"] != "emergency" {
			t.Errorf("got events %+v, want one for the key that signed and one for the next", events)
		}
		if _, err := k.Prune(ctx, longest, storage.Cause{}, testTime.Add(time.Hour+longest)); err != nil {
			t.Fatal(err)
		}
		if rows, err := k.store.SigningKeys(ctx); err != nil || len(rows) != 3 {
			t.Errorf("%d keys are left, %v, want 3", len(rows), err)
		}
	})
}

// I02: keys are encrypted with the first secret, whatever they were made with.
func TestReencrypt(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx, s := t.Context(), openTestStore(t, dsn)
		const newSecret, wrong = "another secret that is long enough", "a wrong secret that is long enough"
		ring := func(secrets ...string) *Keyring {
			k, err := NewKeyring(openTestStore(t, dsn), secrets...)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		k := ring(testSecret)
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Rotate(ctx, []string{algES256}, storage.Cause{}, testTime); err != nil {
			t.Fatal(err)
		}
		before, _ := k.Set()
		checkpoint := k.Checkpoint()

		t.Run("a wrong secret", func(t *testing.T) {
			k := ring(wrong)
			if err := k.Ensure(ctx, testTime); !errors.Is(err, ErrSecret) {
				t.Errorf("Ensure: got %v, want %v", err, ErrSecret)
			}
			if _, err := k.Maintain(ctx, interval, longest, testTime); !errors.Is(err, ErrSecret) {
				t.Errorf("Maintain: got %v, want %v", err, ErrSecret)
			}
		})
		rows, err := s.SigningKeys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if previous, unknown := ring(newSecret, testSecret).Sealed(rows); len(previous) != 4 || len(unknown) != 0 {
			t.Errorf("to be encrypted anew: %q, unknown %q, want 4 and none", previous, unknown)
		}
		if previous, unknown := ring(wrong).Sealed(rows); len(previous) != 0 || len(unknown) != 4 {
			t.Errorf("with a wrong secret: %q, unknown %q, want none and 4", previous, unknown)
		}

		var mu sync.Mutex
		var done []string
		var all sync.WaitGroup
		for range 6 {
			k := ring(newSecret, wrong, testSecret)
			all.Go(func() {
				m, err := k.Maintain(ctx, interval, longest, testTime)
				mu.Lock()
				defer mu.Unlock()
				if done = append(done, m.Reencrypted...); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(done) != 4 || len(slices.Compact(slices.Sorted(slices.Values(done)))) != 4 {
			t.Errorf("encrypted anew: %q, want each of 4 keys once", done)
		}
		after := ring(newSecret) // the previous one is gone
		if err := after.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		if set, _ := after.Set(); string(set) != string(before) || !after.Checkpoint().Equal(checkpoint) {
			t.Errorf("the keys are others: %s, want %s", set, before)
		}
		if err := ring(testSecret).Load(ctx, testTime); !errors.Is(err, ErrSecret) {
			t.Errorf("the old secret still opens keys: %v", err)
		}
		events := eventsOf(t, s, storage.EventKeyReencrypted)
		if len(events) != 4 {
			t.Errorf("%d events, want 4", len(events))
		}
		for _, e := range events {
			if strings.Contains(fmt.Sprint(e.Data), "secret") || e.Data["kid"] == "" {
				t.Errorf("event data %v", e.Data)
			}
		}
		if m, err := ring(newSecret, testSecret).Maintain(ctx, interval, longest, testTime); err != nil || len(m.Reencrypted) > 0 {
			t.Errorf("a second time: %+v, %v", m, err)
		}
	})
}

// A next key that cannot be opened is found before its time has come.
func TestNextKeyIsOpenedAhead(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), migratedStore(t)
	k := newTestKeyring(t, s)
	if err := k.Ensure(ctx, testTime); err != nil {
		t.Fatal(err)
	}
	other, err := NewKeyring(s, "another secret that is long enough")
	if err != nil {
		t.Fatal(err)
	}
	row, err := other.generate(purposeToken, algES256, testTime.Add(publishAhead))
	if err == nil {
		err = s.Write(ctx, func(tx *storage.Tx) error { return storeKey(ctx, tx, row, storage.Cause{}, testTime) })
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Load(ctx, testTime); !errors.Is(err, ErrSecret) {
		t.Errorf("got %v, want %v", err, ErrSecret)
	}
}

// A server that cannot open the keys which replaced a compromised one neither signs
// with that one nor believes it.
func TestReplaceWithoutTheSecret(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		behind := newTestKeyring(t, openTestStore(t, dsn))
		if err := behind.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		leaked, err := behind.sign(algES256, typIDToken, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		ahead, err := NewKeyring(behind.store, "another secret of this test, long enough", testSecret)
		if err == nil {
			err = ahead.Load(ctx, testTime)
		}
		if err == nil {
			err = ahead.Replace(ctx, []string{algES256}, storage.Cause{}, testTime)
		}
		if err != nil {
			t.Fatal(err)
		}
		forgotten := false
		behind.changed = func() { forgotten = true }
		if err := behind.Load(ctx, testTime.Add(time.Second)); !errors.Is(err, ErrSecret) {
			t.Errorf("got %v, want %v", err, ErrSecret)
		}
		if _, err := behind.verify(leaked, typIDToken); err == nil || !forgotten {
			t.Errorf("what the leaked key signed counts: %v, forgotten %v", err, forgotten)
		}
		if token, err := behind.sign(algES256, typIDToken, map[string]any{}); err == nil {
			t.Errorf("it signs: %s", token)
		}
		if _, err := behind.sign(algRS256, typIDToken, map[string]any{}); err != nil {
			t.Errorf("the algorithm that was not replaced: %v", err)
		}
		if set, _ := behind.Set(); strings.Count(string(set), `"kid"`) != 2 {
			t.Errorf("publishes %s", set)
		}
	})
}
