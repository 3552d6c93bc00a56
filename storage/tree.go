package storage

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// The Merkle tree over events is that of RFC 6962, kept as golang.org/x/mod/sumdb/tlog
// lays it out: an event at position n adds the hash of its leaf and of every
// subtree that it completes to tree_hashes.

// Leaf returns what the tree commits to for an event: one JSON object, without
// white space, with these members in this order:
//
//	v                the version of this format, 1
//	id, time (microseconds since the epoch), type, actor_id, subject_id,
//	client_id, organization_id, impersonation_id, request_id
//	private_hash     lower-case hexadecimal, empty where the event has no private part
//	data             the text of the column as it is
//
// Strings escape only what JSON demands and U+2028 and U+2029. The hash in the
// tree is SHA-256 of a zero byte and these bytes. The format never changes for
// events that have a position: another one gets another version.
func (e *Event) Leaf() ([]byte, error) {
	data, err := e.Data.text()
	if err != nil {
		return nil, err
	}
	return e.leaf(data)
}

// Hash returns the hash of the leaf of an event.
func (e *Event) Hash() (tlog.Hash, error) {
	leaf, err := e.Leaf()
	return tlog.RecordHash(leaf), err
}

// leaf takes the data as the database has it, so that no way of reading JSON
// comes between the row and its hash. The data is last: where it begins is then
// beyond doubt, whatever it holds.
func (e *Event) leaf(data string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		V               int       `json:"v"`
		ID              string    `json:"id"`
		Time            Time      `json:"time"`
		Type            EventType `json:"type"`
		ActorID         string    `json:"actor_id"`
		SubjectID       string    `json:"subject_id"`
		ClientID        string    `json:"client_id"`
		OrganizationID  string    `json:"organization_id"`
		ImpersonationID string    `json:"impersonation_id"`
		RequestID       string    `json:"request_id"`
		PrivateHash     string    `json:"private_hash"`
	}{
		1, e.ID, e.Time, e.Type, e.ActorID, e.SubjectID, e.ClientID, e.OrganizationID, e.ImpersonationID, e.RequestID,
		hex.EncodeToString(e.PrivateHash),
	})
	if err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - len("}\n"))
	b.WriteString(`,"data":`)
	b.WriteString(data)
	b.WriteByte('}')
	return b.Bytes(), nil
}

// row is an event with its data as the database has it.
type row struct {
	Event
	data string
}

func (r *row) hash() (tlog.Hash, error) {
	leaf, err := r.leaf(r.data)
	return tlog.RecordHash(leaf), err
}

// rows returns the events that the rest of a statement selects.
func (q Queries) rows(ctx context.Context, rest string, args ...any) ([]row, error) {
	found, err := q.conn(ctx).Raw(`SELECT id, position, time, type, actor_id, subject_id, client_id, organization_id,
		impersonation_id, request_id, private_hash, private, data FROM events `+rest, args...).Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer found.Close()
	var all []row
	for found.Next() {
		var r row
		err := found.Scan(&r.ID, &r.Position, &r.Time, &r.Type, &r.ActorID, &r.SubjectID, &r.ClientID, &r.OrganizationID,
			&r.ImpersonationID, &r.RequestID, &r.PrivateHash, &r.Private, &r.data)
		if err != nil {
			return nil, translate(err)
		}
		all = append(all, r)
	}
	return all, translate(found.Err())
}

// SequenceBatch bounds one Sequence, so that it does not hold the writer for long.
const SequenceBatch = 1000

// sequenceLease is how long a sequencer on PostgreSQL keeps its part without
// renewing it. Two at a time would harm nothing: the lease's row locks.
const sequenceLease = 10 * time.Second

// Sequence gives the oldest events that wait their places in the tree and
// returns how many they were. When they were SequenceBatch others may still wait:
// it is to be called again at once, and every second or so otherwise. On
// PostgreSQL it does nothing while another holder has the lease.
func (s *Store) Sequence(ctx context.Context, holder string, now time.Time) (n int, err error) {
	var pending bool
	err = s.scan(ctx, []any{&pending}, `SELECT EXISTS (SELECT 1 FROM events WHERE position IS NULL)`)
	if err != nil || !pending {
		return 0, err
	}
	err = s.Write(ctx, func(tx *Tx) error {
		n = 0
		if ours, err := tx.lease(ctx, "sequencer", holder, sequenceLease, now); err != nil || !ours {
			return err
		}
		n, err = tx.sequence(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sequence events: %w", err)
	}
	return n, nil
}

// lease takes or renews a lease, and locks it until the commit. SQLite has one
// writer anyway.
func (tx *Tx) lease(ctx context.Context, name, holder string, d time.Duration, now time.Time) (bool, error) {
	if tx.dialect == SQLite {
		return true, nil
	}
	res := tx.conn(ctx).Exec(`
		INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
		WHERE leases.holder = excluded.holder OR leases.expires_at <= ?`,
		name, holder, At(now.Add(d)), At(now))
	return res.RowsAffected == 1, translate(res.Error)
}

func (tx *Tx) sequence(ctx context.Context) (int, error) {
	size, err := tx.TreeSize(ctx)
	if err != nil {
		return 0, err
	}
	pending, err := tx.rows(ctx, `WHERE position IS NULL ORDER BY time, id LIMIT ?`, SequenceBatch)
	if err != nil || len(pending) == 0 {
		return 0, err
	}
	edge, err := tx.edge(ctx, size)
	if err != nil {
		return 0, err
	}
	var ids, hashes []string
	for i, r := range pending {
		leaf, err := r.hash()
		if err != nil {
			return 0, fmt.Errorf("event %s: %w", r.ID, err)
		}
		added, err := edge.add(size+int64(i), leaf)
		if err != nil {
			return 0, err
		}
		ids = append(ids, r.ID)
		for _, h := range added {
			hashes = append(hashes, hex.EncodeToString(h[:]))
		}
	}
	if err := tx.insertHashes(ctx, tlog.StoredHashCount(size), hashes); err != nil {
		return 0, err
	}
	return len(pending), tx.place(ctx, size, ids)
}

// place gives events their positions, from first on.
func (tx *Tx) place(ctx context.Context, first int64, ids []string) error {
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	statement := `UPDATE events SET position = ? + i.key FROM json_each(?) AS i WHERE events.id = i.value AND position IS NULL`
	if tx.dialect == Postgres {
		statement = `UPDATE events SET position = ? + i.n - 1 FROM json_array_elements_text(?::json) WITH ORDINALITY AS i (id, n)
			WHERE events.id = i.id AND position IS NULL`
	}
	res := tx.conn(ctx).Exec(statement, first, string(list))
	if res.Error == nil && res.RowsAffected != int64(len(ids)) {
		return fmt.Errorf("storage: %d of %d events could be given a position", res.RowsAffected, len(ids))
	}
	return translate(res.Error)
}

// insertHashes stores hexadecimal hashes of the tree, from the index first on.
func (tx *Tx) insertHashes(ctx context.Context, first int64, hashes []string) error {
	list, err := json.Marshal(hashes)
	if err != nil {
		return err
	}
	statement := `INSERT INTO tree_hashes (position, hash) SELECT ? + key, unhex(value) FROM json_each(?)`
	if tx.dialect == Postgres {
		statement = `INSERT INTO tree_hashes (position, hash) SELECT ? + n - 1, decode(hash, 'hex')
			FROM json_array_elements_text(?::json) WITH ORDINALITY AS i (hash, n)`
	}
	return translate(tx.conn(ctx).Exec(statement, first, string(list)).Error)
}

// TreeSize returns how many events have their place in the tree.
func (q Queries) TreeSize(ctx context.Context) (int64, error) {
	var stored int64
	if err := q.scan(ctx, []any{&stored}, `SELECT COALESCE(MAX(position), -1) + 1 FROM tree_hashes`); err != nil {
		return 0, err
	}
	size := recordsIn(stored)
	if tlog.StoredHashCount(size) != stored {
		return 0, fmt.Errorf("storage: the tree ends within the hashes of event %d", size)
	}
	return size, nil
}

// recordsIn returns how many whole records so many stored hashes are for.
func recordsIn(stored int64) int64 {
	more := sort.Search(int(stored)+1, func(n int) bool { return tlog.StoredHashCount(int64(n)) > stored })
	return int64(more) - 1
}

// TreeHash returns the root of the tree over the first size events. ErrNotFound:
// there are not so many.
func (q Queries) TreeHash(ctx context.Context, size int64) (tlog.Hash, error) {
	if size < 0 {
		return tlog.Hash{}, ErrNotFound
	}
	return tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		return q.treeHashes(ctx, indexes)
	}))
}

// treeHashes returns the stored hashes with these indexes, or ErrNotFound.
func (q Queries) treeHashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	found, err := q.hashRows(ctx, `WHERE position IN ?`, indexes)
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		h, ok := found[index]
		if !ok {
			return nil, fmt.Errorf("tree hash %d: %w", index, ErrNotFound)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// hashRows returns stored hashes by their indexes.
func (q Queries) hashRows(ctx context.Context, where string, args ...any) (map[int64]tlog.Hash, error) {
	rows, err := q.conn(ctx).Raw(`SELECT position, hash FROM tree_hashes `+where, args...).Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	found := map[int64]tlog.Hash{}
	for rows.Next() {
		var index int64
		var hash []byte
		if err := rows.Scan(&index, &hash); err != nil {
			return nil, translate(err)
		}
		var h tlog.Hash
		if copy(h[:], hash) == len(hash) { // a hash of another length is no hash
			found[index] = h
		}
	}
	return found, translate(rows.Err())
}

// edge is what a tree needs to grow, and to know its root: of each level the
// subtree that was completed last.
type edge map[int]subtree

type subtree struct {
	index int64 // as tlog stores it
	hash  tlog.Hash
}

// edge reads the edge of the tree over the first size events.
func (q Queries) edge(ctx context.Context, size int64) (edge, error) {
	var levels []int
	var indexes []int64
	for level := 0; size>>level > 0; level++ {
		levels = append(levels, level)
		indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
	}
	hashes, err := q.treeHashes(ctx, indexes)
	if err != nil {
		return nil, err
	}
	e := edge{}
	for i, level := range levels {
		e[level] = subtree{indexes[i], hashes[i]}
	}
	return e, nil
}

// add appends the leaf of the n-th event, n being the tree's size, and returns
// the hashes to store for it.
func (e edge) add(n int64, leaf tlog.Hash) ([]tlog.Hash, error) {
	hashes, err := tlog.StoredHashesForRecordHash(n, leaf, e)
	for level, h := range hashes {
		e[level] = subtree{tlog.StoredHashIndex(level, n>>level), h}
	}
	return hashes, err
}

// ReadHashes implements tlog.HashReader.
func (e edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		if e[level].index != index {
			return nil, errors.New("storage: the tree's edge lacks a hash")
		}
		hashes[i] = e[level].hash
	}
	return hashes, nil
}
