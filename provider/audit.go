package provider

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/understudy-id/understudy/storage"
)

// How often the record is looked after.
const (
	sequenceEvery   = time.Second
	checkpointEvery = time.Minute
	longestBackoff  = 30 * time.Second
)

// Auditor gives events their place in the tree and signs what it looks like, so
// that whoever keeps a checkpoint elsewhere can prove a later change. It is safe
// for concurrent use, also by several processes on one database.
type Auditor struct {
	// Log, where it is set, hears of what went wrong in Run and of every tree that was
	// signed, so that those who can change the database cannot deny it.
	Log *slog.Logger

	store  *storage.Store
	keys   *Keyring
	origin string
	holder string

	mu   sync.Mutex // one checkpoint at a time
	last *tlog.Tree // the largest that this process signed or found signed

	asked    chan chan struct{} // who wants the record verified now
	found    sync.Mutex
	verified Verified
}

// NewAuditor returns an Auditor on a store with its keys loaded. The issuer names
// the log: its host and path are the checkpoints' origin.
func NewAuditor(store *storage.Store, keys *Keyring, issuer string) *Auditor {
	_, origin, ok := strings.Cut(issuer, "://")
	if !ok {
		origin = issuer
	}
	return &Auditor{store: store, keys: keys, origin: origin, holder: rand.Text(), asked: make(chan chan struct{})}
}

// Run looks after the record until ctx ends: a place for every event within a
// second, a checkpoint each minute in which the tree grew and whenever an
// impersonation ended. What goes wrong is tried again, less and less often.
func (a *Auditor) Run(ctx context.Context) error {
	pause, due := sequenceEvery, time.Now().Add(checkpointEvery)
	for {
		select {
		case <-ctx.Done():
			return a.finish(ctx)
		case <-time.After(pause):
		}
		ended, err := a.sequence(ctx)
		if now := time.Now(); err == nil && (ended || !now.Before(due)) {
			_, err = a.sign(ctx)
			due = now.Add(checkpointEvery)
		}
		if err == nil {
			pause = sequenceEvery
			continue
		}
		pause = min(2*pause, longestBackoff)
		if a.Log != nil && ctx.Err() == nil {
			a.Log.ErrorContext(ctx, "the audit record could not be looked after", "cause", err.Error(), "retry_in", pause.String())
		}
	}
}

// finish signs what there is when the process ends.
func (a *Auditor) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := a.Checkpoint(ctx); err != nil && a.Log != nil {
		a.Log.ErrorContext(ctx, "the audit record could not be looked after", "cause", err.Error())
	}
	return nil
}

// Checkpoint gives all events their place and returns a signed checkpoint of the
// whole tree, the latest where nothing came since.
func (a *Auditor) Checkpoint(ctx context.Context) (*storage.Checkpoint, error) {
	if err := a.Sequence(ctx); err != nil {
		return nil, err
	}
	return a.sign(ctx)
}

// Sequence gives all events that wait their place, unless another process is at it.
func (a *Auditor) Sequence(ctx context.Context) error {
	_, err := a.sequence(ctx)
	return err
}

// sequence gives all events that wait their place. It reports whether the end of
// an impersonation was among them.
func (a *Auditor) sequence(ctx context.Context) (ended bool, err error) {
	total := 0
	for {
		n, err := a.store.Sequence(ctx, a.holder, time.Now())
		if err != nil {
			return false, err
		}
		total += n
		if n < storage.SequenceBatch {
			break
		}
	}
	if total == 0 {
		return false, nil
	}
	size, err := a.store.TreeSize(ctx)
	if err != nil {
		return false, err
	}
	ends, err := a.store.Events(ctx, storage.EventFilter{
		Types: []storage.EventType{storage.EventImpersonationStopped, storage.EventImpersonationExpired},
		From:  max(0, size-int64(total)), Limit: 1,
	})
	return len(ends) > 0, err
}

// ErrRewritten says that the tree is not a continuation of the one that the latest
// checkpoint is about, or that this process signed before. No checkpoint is signed
// from then on.
var ErrRewritten = errors.New("the audit record was changed after it was signed; run understudy audit verify --against a checkpoint kept elsewhere")

// sign returns a checkpoint of the tree as it is.
func (a *Auditor) sign(ctx context.Context) (*storage.Checkpoint, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	size, err := a.store.TreeSize(ctx)
	if err != nil {
		return nil, fmt.Errorf("tree size: %w", err)
	}
	if a.last != nil { // also where the checkpoint of it is gone
		if err := a.continues(ctx, *a.last, size); err != nil {
			return nil, err
		}
	}
	latest, err := a.latest(ctx, size)
	if err == nil && latest.Size >= size { // another process may have signed since we looked
		return latest, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	root, err := a.store.TreeHash(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("tree hash: %w", err)
	}
	signer, err := a.signer()
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: storage.CheckpointText(a.origin, size, root)}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	c := &storage.Checkpoint{Size: size, Note: string(signed), CreatedAt: storage.At(time.Now())}
	err = a.store.Write(ctx, func(tx *storage.Tx) error { return tx.CreateCheckpoint(ctx, c) })
	if errors.Is(err, storage.ErrExists) { // by another process
		return a.latest(ctx, size)
	}
	if err != nil {
		return nil, fmt.Errorf("store checkpoint: %w", err)
	}
	a.remember(tlog.Tree{N: size, Hash: root})
	if a.Log != nil {
		a.Log.InfoContext(ctx, "the audit record was signed", "size", size, "root", root.String(), "note", c.Note)
	}
	return c, nil
}

// latest returns the latest stored checkpoint, of which the tree must be a
// continuation.
func (a *Auditor) latest(ctx context.Context, size int64) (*storage.Checkpoint, error) {
	c, err := a.store.LatestCheckpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("load checkpoint: %w", err)
	}
	tree, err := a.openStored(c)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrRewritten, err)
	}
	if err := a.continues(ctx, tree, size); err != nil {
		return nil, err
	}
	a.remember(tree)
	return c, nil
}

// Latest returns the latest stored checkpoint and the size of the tree.
// ErrRewritten: the checkpoint is not one of ours, or the tree is not its
// continuation. storage.ErrNotFound: there is no checkpoint, and the size still counts.
func (a *Auditor) Latest(ctx context.Context) (*storage.Checkpoint, int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	size, err := a.store.TreeSize(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("tree size: %w", err)
	}
	latest, err := a.latest(ctx, size)
	return latest, size, err
}

func (a *Auditor) remember(tree tlog.Tree) {
	if a.last == nil || a.last.N < tree.N {
		a.last = &tree
	}
}

// continues checks that the stored tree, which had size events when we looked,
// begins with one that was signed.
func (a *Auditor) continues(ctx context.Context, signed tlog.Tree, size int64) error {
	root, err := a.store.TreeHash(ctx, signed.N)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%w (it has %d events; %d were signed, with the root %s)", ErrRewritten, size, signed.N, signed.Hash)
	}
	if err != nil {
		return fmt.Errorf("tree hash: %w", err)
	}
	if root != signed.Hash {
		return fmt.Errorf("%w (the root of its first %d events was %s and is %s)", ErrRewritten, signed.N, signed.Hash, root)
	}
	return nil
}

// Open verifies a signed checkpoint of this log and returns the tree that it is
// about. A log that had another issuer before keeps its old checkpoints: the keys
// are what they are recognized by.
func (a *Auditor) Open(signed string) (tlog.Tree, error) {
	origin, _, _ := strings.Cut(signed, "\n")
	var known []note.Verifier
	for _, key := range a.keys.checkpoints() {
		verifier, err := verifierOf(origin, key)
		if err != nil {
			return tlog.Tree{}, err
		}
		known = append(known, verifier)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(known...)) // which finds it by the key's hash
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	_, tree, err := storage.ParseCheckpoint(n.Text)
	return tree, err
}

// ErrCheckpoint says that a stored checkpoint is not one that we signed.
var ErrCheckpoint = errors.New("stored checkpoint")

// openStored is Open for a row, whose size anybody could have written.
func (a *Auditor) openStored(c *storage.Checkpoint) (tlog.Tree, error) {
	tree, err := a.Open(c.Note)
	if err == nil && tree.N != c.Size {
		err = fmt.Errorf("is about %d events", tree.N)
	}
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%w of %d events: %w", ErrCheckpoint, c.Size, err)
	}
	return tree, nil
}

// Verify computes the tree anew and compares it with every stored checkpoint, with
// those given, which the caller kept elsewhere, and with what this process signed. It
// returns how many were stored or given.
func (a *Auditor) Verify(ctx context.Context, against ...string) (storage.Verification, int, error) {
	stored, err := a.store.Checkpoints(ctx)
	if err != nil {
		return storage.Verification{}, 0, fmt.Errorf("load checkpoints: %w", err)
	}
	var trees []tlog.Tree
	for i, signed := range against {
		tree, err := a.Open(signed)
		if err != nil {
			return storage.Verification{}, 0, fmt.Errorf("given checkpoint %d: %w", i+1, err)
		}
		trees = append(trees, tree)
	}
	for _, c := range stored {
		tree, err := a.openStored(&c)
		if err != nil {
			return storage.Verification{}, 0, err
		}
		trees = append(trees, tree)
	}
	checkpoints := len(trees)
	a.mu.Lock()
	if a.last != nil { // also where the checkpoint of it is gone
		trees = append(trees, *a.last)
	}
	a.mu.Unlock()
	v, err := a.store.VerifyEvents(ctx, trees)
	return v, checkpoints, err
}

// VerifierKey returns the public key of the log as golang.org/x/mod/sumdb/note
// writes it, for those who verify checkpoints elsewhere.
func (a *Auditor) VerifierKey() (string, error) { return verifierKey(a.origin, a.keys.Checkpoint()) }

// Origin returns the name of the log.
func (a *Auditor) Origin() string { return a.origin }

// signer signs and verifies under a name.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

func (a *Auditor) signer() (signer, error) {
	key := a.keys.Checkpoint()
	verifier, err := verifierOf(a.origin, key)
	return signer{verifier, key}, err
}

// verifierKey returns the public half of a key under the name of a log.
func verifierKey(name string, key ed25519.PrivateKey) (string, error) {
	text, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return "", fmt.Errorf("checkpoint key: %w", err)
	}
	return text, nil
}

func verifierOf(name string, key ed25519.PrivateKey) (note.Verifier, error) {
	text, err := verifierKey(name, key)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %q: %w", name, err)
	}
	return verifier, nil
}
