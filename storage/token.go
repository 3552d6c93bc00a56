package storage

import (
	"context"
	"errors"
	"strings"
	"time"
)

// TokenKind tells stored tokens apart; one is never accepted as the other.
type TokenKind string

// The kinds of stored tokens.
const (
	RefreshToken TokenKind = "refresh_token"
	AccessToken  TokenKind = "access_token" // opaque ones; JWTs are not stored
)

// Token is a stored token. The refresh tokens of a grant are one family;
// Generation counts its rotations from zero.
type Token struct {
	Hash       []byte `gorm:"primaryKey"`
	Kind       TokenKind
	GrantID    string // empty: the client acts for itself
	ClientID   string
	Scope      string // of this token; a refresh token has the grant's
	Audience   string
	Generation int64
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	ExpiresAt  Time
	UsedAt     Time
	Successor  []byte // of a spent refresh token: the next one, encrypted with what only its holder can derive
}

const tokenColumns = `t.hash, t.kind, t.grant_id, t.client_id, t.scope, t.audience, t.generation, t.created_at, t.expires_at, t.used_at, t.successor`

func (t *Token) fields() []any {
	return []any{&t.Hash, &t.Kind, &t.GrantID, &t.ClientID, &t.Scope, &t.Audience, &t.Generation, &t.CreatedAt, &t.ExpiresAt, &t.UsedAt, &t.Successor}
}

// DeniedToken is a JWT access token that was revoked on its own, by its jti.
type DeniedToken struct {
	ID        string `gorm:"primaryKey"`
	ExpiresAt Time
}

// Token returns a stored token that its client, which is active, holds for itself,
// or ErrNotFound.
func (q Queries) Token(ctx context.Context, hash []byte, kind TokenKind) (*Token, error) {
	var t Token
	err := q.scan(ctx, t.fields(), `SELECT `+tokenColumns+` FROM tokens t JOIN clients c ON c.id = t.client_id
		WHERE t.hash = ? AND t.kind = ? AND t.grant_id = '' AND c.status = 'active'`, hash, kind)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// ClientToken reports whether a JWT access token that a client holds for itself may
// be used: the client, active, is older than the token, and the token was not denied.
func (q Queries) ClientToken(ctx context.Context, jti, clientID string, issued time.Time) (bool, error) {
	var live bool
	err := q.scan(ctx, []any{&live}, `SELECT NOT EXISTS (SELECT 1 FROM denied_tokens WHERE id = ?) FROM clients
		WHERE id = ? AND status = 'active' AND created_at < ?`, jti, clientID, At(issued.Add(time.Second)))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return live, err
}

// CreateTokens adds tokens in one statement.
func (tx *Tx) CreateTokens(ctx context.Context, tokens []Token) error {
	if len(tokens) == 0 {
		return nil
	}
	var values []string
	var args []any
	for _, t := range tokens {
		values = append(values, "(?, ?, ?, ?, ?, ?, ?, ?, ?)")
		args = append(args, t.Kind, t.Hash, t.GrantID, t.ClientID, t.Scope, t.Audience, t.Generation, t.CreatedAt, t.ExpiresAt)
	}
	_, err := tx.exec(ctx, `INSERT INTO tokens (kind, hash, grant_id, client_id, scope, audience, generation, created_at, expires_at) VALUES `+
		strings.Join(values, ", "), args...)
	return err
}

// SpendRefreshToken marks a refresh token as used and keeps its sealed successor.
// ErrSpent: it was used before, ran out, or its grant was revoked. On PostgreSQL it
// waits for a revocation of the grant that is under way.
func (tx *Tx) SpendRefreshToken(ctx context.Context, hash, successor []byte, now time.Time) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	return tx.spend(ctx, `UPDATE tokens SET used_at = ?, successor = ? WHERE hash = ? AND kind = 'refresh_token' AND used_at = 0 AND expires_at > ?
		AND EXISTS (SELECT 1 FROM grants g WHERE g.id = tokens.grant_id AND g.revoked_at = 0`+lock+`)`,
		At(now), successor, hash, At(now))
}

// HoldRefreshToken makes sure that a refresh token has not been used, nor its grant
// revoked, when the commit happens. ErrSpent: one of them was.
func (tx *Tx) HoldRefreshToken(ctx context.Context, hash []byte) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM tokens t JOIN grants g ON g.id = t.grant_id
		WHERE t.hash = ? AND t.kind = 'refresh_token' AND t.used_at = 0 AND g.revoked_at = 0`+lock, hash)
	if errors.Is(err, ErrNotFound) {
		return ErrSpent
	}
	return err
}

// RevokeToken ends one stored access token.
func (tx *Tx) RevokeToken(ctx context.Context, hash []byte) error {
	return translate(tx.conn(ctx).Exec(`DELETE FROM tokens WHERE hash = ? AND kind = 'access_token'`, hash).Error)
}

// DenyToken revokes one JWT access token until it expires by itself.
func (tx *Tx) DenyToken(ctx context.Context, jti string, expires time.Time) error {
	return translate(tx.conn(ctx).Exec(`INSERT INTO denied_tokens (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		jti, At(expires)).Error)
}
