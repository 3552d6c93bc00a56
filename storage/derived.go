package storage

import "sync"

// derivedSize is how much is remembered: all but what is in use was replaced long ago.
const derivedSize = 16

// derived remembers what callers made of rows that never change.
type derived struct {
	mu sync.Mutex
	by map[string]any
}

// Derived returns what make made, once, of the row with this id. It is remembered for
// the Store and all its units of work, so the row must be one that never changes, of an
// id that nothing else ever has. An error is not remembered.
func (q Queries) Derived(id string, make func() (any, error)) (any, error) {
	d := q.derived
	d.mu.Lock()
	v, ok := d.by[id]
	d.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := make() // outside the lock: twice does no harm
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil || len(d.by) >= derivedSize {
		d.by = map[string]any{}
	}
	d.by[id] = v
	return v, nil
}
