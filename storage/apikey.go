package storage

import (
	"context"
	"errors"
	"strings"
	"time"
)

// APIKey lets a program call the management API.
type APIKey struct {
	ID             string `gorm:"primaryKey"`
	SecretHash     []byte
	Name           string
	Permissions    List
	OrganizationID *string // it reaches this one's members only; nil: everywhere
	ClientID       *string // whom it stands in for where another product's API wants a client; nil: nobody
	CreatedBy      string  // empty: an operator
	CreatedAt      Time    `gorm:"autoCreateTime:false"`
	ExpiresAt      Time    // zero: it does not expire
	LastUsedAt     Time    // to the minute
	RevokedAt      Time
}

// Live reports whether the key opens anything.
func (k *APIKey) Live(now time.Time) bool { return !k.RevokedAt.Set() && !k.ExpiresAt.Passed(now) }

// Standing is what the key may do: its permissions, everywhere or within its organization.
func (k *APIKey) Standing() Standing {
	if k.OrganizationID == nil {
		return Standing{Everywhere: k.Permissions, Within: map[string]List{}}
	}
	return Standing{Within: map[string]List{*k.OrganizationID: k.Permissions}}
}

// APIKeyBySecret returns the key whose secret has this hash, whatever its state, or
// ErrNotFound.
func (q Queries) APIKeyBySecret(ctx context.Context, hash []byte) (*APIKey, error) {
	return q.apiKey(ctx, "secret_hash = ?", hash)
}

// APIKey returns the key with this id, or ErrNotFound.
func (q Queries) APIKey(ctx context.Context, id string) (*APIKey, error) {
	return q.apiKey(ctx, "id = ?", id)
}

func (q Queries) apiKey(ctx context.Context, where string, arg any) (*APIKey, error) {
	var k APIKey
	err := q.scan(ctx, []any{
		&k.ID, &k.SecretHash, &k.Name, &k.Permissions, &k.OrganizationID, &k.ClientID, &k.CreatedBy,
		&k.CreatedAt, &k.ExpiresAt, &k.LastUsedAt, &k.RevokedAt,
	}, `SELECT id, secret_hash, name, permissions, organization_id, client_id, created_by,
		created_at, expires_at, last_used_at, revoked_at FROM api_keys WHERE `+where, arg)
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// APIKeySearch selects API keys.
type APIKeySearch struct {
	Organization string // those of this one only; empty: all
	At           *Mark
	Limit        int
}

// APIKeys returns a page of the API keys, the latest first, revoked ones included, and
// whether there are more.
func (q Queries) APIKeys(ctx context.Context, s APIKeySearch) ([]APIKey, bool, error) {
	db := q.conn(ctx).Model(&APIKey{})
	if s.Organization != "" {
		db = db.Where("organization_id = ?", s.Organization)
	}
	return pageByTime[APIKey](db, s.At, s.Limit, "created_at", "id")
}

// CreateAPIKey adds an API key. ErrReference: there is no such organization or client.
func (tx *Tx) CreateAPIKey(ctx context.Context, k *APIKey) error {
	if k.OrganizationID != nil {
		if err := tx.holdOrganization(ctx, *k.OrganizationID); err != nil {
			return err
		}
	}
	return translate(tx.conn(ctx).Create(k).Error)
}

// RevokeAPIKey ends an API key. ErrSpent: there is none with this id, or it was revoked.
func (tx *Tx) RevokeAPIKey(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, At(now), id)
}

// TouchAPIKey notes that a key was used.
func (tx *Tx) TouchAPIKey(ctx context.Context, id string, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE api_keys SET last_used_at = ? WHERE id = ? AND last_used_at < ?`, At(at), id, At(at))
	return err
}

// Behind returns who may be behind an API key or a client: who made the key, who may know
// what the client authenticates with, and who is behind these in turn. None: operators
// alone, or it is neither.
func (q Queries) Behind(ctx context.Context, id string) ([]string, error) {
	rows, err := q.query(ctx, `
		WITH RECURSIVE behind (id) AS (
			SELECT CAST(? AS TEXT)
			UNION SELECT COALESCE(h.holder_id, k.created_by) FROM behind b
				LEFT JOIN api_keys k ON k.id = b.id LEFT JOIN client_holders h ON h.client_id = b.id
			WHERE COALESCE(h.holder_id, k.created_by, '') <> '')
		SELECT id FROM behind WHERE id <> ?`, id, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, translate(err)
		}
		all = append(all, one)
	}
	return all, translate(rows.Err())
}

// CallerStanding is what somebody who called the management API before may do there
// now, by the id that the record has for them: a key's permissions, or those scopes of
// a client that are registered. Nothing where the key or the client has ended.
func (q Queries) CallerStanding(ctx context.Context, id string, now time.Time) (Standing, error) {
	k, err := q.APIKey(ctx, id)
	switch {
	case err == nil && k.Live(now):
		return k.Standing(), nil
	case err == nil:
		return Standing{}, nil
	case !errors.Is(err, ErrNotFound):
		return Standing{}, err
	}
	c, err := q.Client(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && c.Status != ClientActive {
		return Standing{}, nil
	}
	if err != nil {
		return Standing{}, err
	}
	return Standing{Everywhere: strings.Fields(c.Scope)}, nil
}
