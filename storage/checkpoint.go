package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a signed statement about the tree's root at one size. Whoever
// keeps one elsewhere can prove a later change to what it covers.
type Checkpoint struct {
	Size      int64  `gorm:"primaryKey;autoIncrement:false"`
	Note      string // the signed note; see CheckpointText
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// CheckpointText returns the text to sign: a checkpoint of C2SP tlog-checkpoint.
// The origin names the log and has no line break.
func CheckpointText(origin string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
}

// ParseCheckpoint reads the text that CheckpointText wrote, nothing else. The
// caller has verified its signature.
func ParseCheckpoint(text string) (origin string, tree tlog.Tree, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" {
		return "", tlog.Tree{}, fmt.Errorf("checkpoint: want three lines, got %d", len(lines)-1)
	}
	origin = lines[0]
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || tree.N < 0 {
		return "", tlog.Tree{}, fmt.Errorf("checkpoint: size %q: want a number", lines[1])
	}
	if tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return "", tlog.Tree{}, fmt.Errorf("checkpoint: root %q: want 32 bytes in base64", lines[2])
	}
	if CheckpointText(origin, tree.N, tree.Hash) != text { // one spelling for one tree
		return "", tlog.Tree{}, fmt.Errorf("checkpoint: not in canonical form: %q", text)
	}
	return origin, tree, nil
}

// CreateCheckpoint adds a checkpoint. ErrExists: there is one of this size.
func (tx *Tx) CreateCheckpoint(ctx context.Context, c *Checkpoint) error {
	return translate(tx.conn(ctx).Create(c).Error)
}

// LatestCheckpoint returns the checkpoint of the greatest size, or ErrNotFound.
func (q Queries) LatestCheckpoint(ctx context.Context) (*Checkpoint, error) {
	var c Checkpoint
	if err := q.conn(ctx).Order("size DESC").Take(&c).Error; err != nil {
		return nil, translate(err)
	}
	return &c, nil
}

// LatestCheckpoints returns the checkpoints of the greatest sizes, the greatest first.
func (q Queries) LatestCheckpoints(ctx context.Context, limit int) ([]Checkpoint, error) {
	var latest []Checkpoint
	err := q.conn(ctx).Order("size DESC").Limit(limit).Find(&latest).Error
	return latest, translate(err)
}

// CheckpointOver returns the smallest checkpoint that covers the event at a
// position, or ErrNotFound.
func (q Queries) CheckpointOver(ctx context.Context, position int64) (*Checkpoint, error) {
	var c Checkpoint
	if err := q.conn(ctx).Order("size").Take(&c, "size > ?", position).Error; err != nil {
		return nil, translate(err)
	}
	return &c, nil
}

// Checkpoints returns all checkpoints by size.
func (q Queries) Checkpoints(ctx context.Context) ([]Checkpoint, error) {
	var all []Checkpoint
	err := q.conn(ctx).Order("size").Find(&all).Error
	return all, translate(err)
}
