package storage

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
)

// Grant is what one authorization produced: its code, PKCE challenge, nonce and
// session in one row. All its tokens carry its ID.
type Grant struct {
	ID              string `gorm:"primaryKey"`
	ClientID        string
	UserID          string // the subject
	ActorID         string // who really acts; empty: the subject
	ImpersonationID string // set exactly when ActorID is
	OrganizationID  string
	SID             string `gorm:"column:sid"` // of the login session, or of the impersonation
	LoginSID        string `gorm:"column:login_sid"`
	Scope           string // granted, space-separated
	Audience        string // granted, space-separated
	Request         string // the parameters that later steps compare with, form-encoded
	Act             string // the act claim as a JSON object; empty: none
	CustomClaims    string // what tokens say besides, a JSON object; empty: nothing
	ACR             string `gorm:"column:acr"`
	AMR             string `gorm:"column:amr"` // space-separated
	AuthTime        Time
	RequestedAt     Time
	CodeHash        []byte
	CodeExpiresAt   Time
	CodeUsedAt      Time
	CreatedAt       Time `gorm:"autoCreateTime:false"`
	ExpiresAt       Time // no token of the grant lives longer
	RevokedAt       Time
}

const grantColumns = `g.id, g.client_id, g.user_id, g.actor_id, g.impersonation_id, g.organization_id, g.sid, g.login_sid,
	g.scope, g.audience, g.request, g.act, g.custom_claims, g.acr, g.amr, g.auth_time, g.requested_at, g.code_hash, g.code_expires_at,
	g.code_used_at, g.created_at, g.expires_at, g.revoked_at`

func (g *Grant) fields() []any {
	return []any{
		&g.ID, &g.ClientID, &g.UserID, &g.ActorID, &g.ImpersonationID, &g.OrganizationID, &g.SID, &g.LoginSID,
		&g.Scope, &g.Audience, &g.Request, &g.Act, &g.CustomClaims, &g.ACR, &g.AMR, &g.AuthTime, &g.RequestedAt, &g.CodeHash, &g.CodeExpiresAt,
		&g.CodeUsedAt, &g.CreatedAt, &g.ExpiresAt, &g.RevokedAt,
	}
}

// Live reports whether tokens of the grant may still be used.
func (g *Grant) Live(now time.Time) bool { return !g.RevokedAt.Set() && !g.ExpiresAt.Passed(now) }

// Granted is a grant with its subject and, where it was found by one, its token.
type Granted struct {
	Grant
	User  User
	Token Token
	// Consented is what the user allows the client for themselves, where the grant
	// was found by a token: space-separated scopes.
	Consented string
}

// Live reports whether grant and subject still stand.
func (g *Granted) Live(now time.Time) bool { return g.Grant.Live(now) && g.User.Active() }

var (
	grantQuery = `SELECT ` + grantColumns + `, ` + userColumns + ` FROM grants g JOIN users u ON u.id = g.user_id WHERE `
	tokenQuery = `SELECT ` + tokenColumns + `, ` + grantColumns + `, ` + userColumns + `, COALESCE(c.scope, '')
		FROM tokens t JOIN grants g ON g.id = t.grant_id JOIN users u ON u.id = g.user_id
		LEFT JOIN consents c ON c.user_id = g.user_id AND c.client_id = g.client_id WHERE t.hash = ? AND t.kind = ?`
)

func (q Queries) granted(ctx context.Context, where string, args ...any) (*Granted, error) {
	var g Granted
	err := q.scan(ctx, append(g.Grant.fields(), g.User.fields()...), grantQuery+where, args...)
	if err != nil {
		return nil, translate(err)
	}
	return &g, nil
}

// GrantByCode returns the grant of an authorization code, spent or not, or
// ErrNotFound. A code that is not spent needs the sign-in that it came from.
func (q Queries) GrantByCode(ctx context.Context, codeHash []byte) (*Granted, error) {
	return q.granted(ctx, `g.code_hash = ? AND (g.code_used_at <> 0 OR g.login_sid = ''
		OR EXISTS (SELECT 1 FROM login_sessions s WHERE s.sid = g.login_sid AND s.revoked_at = 0))`, codeHash)
}

// GrantByToken returns the grant of a JWT access token that was not denied by
// its jti, or ErrNotFound.
func (q Queries) GrantByToken(ctx context.Context, grantID, jti string) (*Granted, error) {
	return q.granted(ctx, "g.id = ? AND NOT EXISTS (SELECT 1 FROM denied_tokens d WHERE d.id = ?)", grantID, jti)
}

// GrantAlone is GrantByToken of whose user no more is read than is asked of who acts: who
// they are, their status, and whether they may be acted as.
func (q Queries) GrantAlone(ctx context.Context, grantID, jti string) (*Granted, error) {
	var g Granted
	u := &g.User
	err := q.scan(ctx, append(g.Grant.fields(), &u.ID, &u.Email, &u.Name, &u.Status, &u.NeverImpersonate), `SELECT `+grantColumns+`,
		u.id, u.email, u.name, u.status, u.never_impersonate FROM grants g JOIN users u ON u.id = g.user_id
		WHERE g.id = ? AND NOT EXISTS (SELECT 1 FROM denied_tokens d WHERE d.id = ?)`, grantID, jti)
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// GrantOfToken returns a stored token with its grant, or ErrNotFound. Spent
// tokens are found too.
func (q Queries) GrantOfToken(ctx context.Context, hash []byte, kind TokenKind) (*Granted, error) {
	var g Granted
	into := append(append(append(g.Token.fields(), g.Grant.fields()...), g.User.fields()...), &g.Consented)
	if err := q.scan(ctx, into, tokenQuery, hash, kind); err != nil {
		return nil, translate(err)
	}
	return &g, nil
}

// CreateGrant adds a grant.
func (tx *Tx) CreateGrant(ctx context.Context, g *Grant) error {
	_, err := tx.exec(ctx, `
		INSERT INTO grants (id, client_id, user_id, actor_id, impersonation_id, organization_id, sid, login_sid,
			scope, audience, request, act, custom_claims, acr, amr, auth_time, requested_at, code_hash, code_expires_at, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		g.ID, g.ClientID, g.UserID, g.ActorID, g.ImpersonationID, g.OrganizationID, g.SID, g.LoginSID,
		g.Scope, g.Audience, g.Request, g.Act, g.CustomClaims, g.ACR, g.AMR, g.AuthTime, g.RequestedAt, g.CodeHash, g.CodeExpiresAt,
		g.CreatedAt, g.ExpiresAt)
	return err
}

// SpendCode marks an authorization code as used. ErrSpent: it was used before,
// ran out, or its grant was revoked.
func (tx *Tx) SpendCode(ctx context.Context, codeHash []byte, now time.Time) error {
	return tx.spend(ctx, `UPDATE grants SET code_used_at = ? WHERE code_hash = ? AND code_used_at = 0 AND revoked_at = 0 AND code_expires_at > ?`,
		At(now), codeHash, At(now))
}

// HoldGrant makes sure that a grant still stands when the commit happens. ErrSpent: it
// has ended since it was read.
func (tx *Tx) HoldGrant(ctx context.Context, id string, now time.Time) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM grants WHERE id = ? AND revoked_at = 0 AND expires_at > ?`+lock, id, At(now))
	if errors.Is(err, ErrNotFound) {
		return ErrSpent
	}
	return err
}

// HoldSignIn is HoldLogin and HoldGrant in one.
func (tx *Tx) HoldSignIn(ctx context.Context, sid, grantID string, now time.Time) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM login_sessions s, grants g WHERE s.sid = ? AND s.revoked_at = 0 AND s.expires_at > ?
		AND g.id = ? AND g.revoked_at = 0 AND g.expires_at > ?`+lock, sid, At(now), grantID, At(now))
	if errors.Is(err, ErrNotFound) {
		return ErrSpent
	}
	return err
}

// SetGrantAct replaces the act claim of a grant's tokens. ErrSpent: it has none.
func (tx *Tx) SetGrantAct(ctx context.Context, id, act string) error {
	return tx.spend(ctx, `UPDATE grants SET act = ? WHERE id = ? AND act <> '' AND ? <> ''`, act, id, act)
}

// RevokeGrant ends a grant and with it all its tokens. It is no error when it
// had ended before.
func (tx *Tx) RevokeGrant(ctx context.Context, id string, now time.Time) error {
	return tx.revokeGrants(ctx, now, "id = ?", id)
}

func (tx *Tx) revokeGrants(ctx context.Context, now time.Time, where string, args ...any) error {
	return translate(tx.conn(ctx).Model(&Grant{}).Where("revoked_at = 0").Where(where, args...).
		UpdateColumn("revoked_at", At(now)).Error)
}

// Parameter returns one of the request's parameters that the grant kept.
func (g *Grant) Parameter(name string) string {
	if !strings.Contains(g.Request, name+"=") {
		return "" // as mostly
	}
	kept, err := url.ParseQuery(g.Request)
	if err != nil {
		return ""
	}
	return kept.Get(name)
}
