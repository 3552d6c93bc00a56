package storage

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// LoginSession is one browser signed in as one user. Its identity never changes;
// an impersonation lies over it without touching it.
type LoginSession struct {
	IDHash        []byte `gorm:"primaryKey"` // of the cookie's value
	SID           string `gorm:"column:sid"` // the name that tokens carry as sid
	UserID        string
	AuthTime      Time // when the password was last checked
	AMR           List `gorm:"column:amr"` // RFC 8176
	ContinueAsMe  Remembered
	IP            string `gorm:"column:ip"`
	UserAgent     string
	CreatedAt     Time `gorm:"autoCreateTime:false"`
	LastSeenAt    Time
	IdleExpiresAt Time
	ExpiresAt     Time
	RevokedAt     Time

	// The console, where it is open over this sign-in: the hash of its own cookie,
	// and when it closes by itself.
	ConsoleHash          []byte
	ConsoleIdleExpiresAt Time
}

// Live reports whether the session still stands for its user.
func (s *LoginSession) Live(now time.Time) bool {
	return !s.RevokedAt.Set() && !s.IdleExpiresAt.Passed(now) && !s.ExpiresAt.Passed(now)
}

// Remembered is for how long "continue as me" was chosen, by client id.
type Remembered map[string]Time

// Value implements driver.Valuer.
func (r Remembered) Value() (driver.Value, error) {
	if len(r) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(map[string]Time(r))
	return string(b), err
}

// Scan implements sql.Scanner.
func (r *Remembered) Scan(v any) error {
	choices, ok := v.(string)
	if b, isBytes := v.([]byte); isBytes {
		choices, ok = string(b), true
	}
	if !ok {
		return fmt.Errorf("storage: remembered choices cannot be read from %T", v)
	}
	*r = nil
	if choices == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(choices), (*map[string]Time)(r))
}

// Login is a session with the user it stands for.
type Login struct {
	LoginSession
	User    User
	HasRole bool // somewhere; who has none may do nothing to others
}

// Login returns the live session of an active user by the hash of its id, or ErrNotFound.
func (q Queries) Login(ctx context.Context, idHash []byte, now time.Time) (*Login, error) {
	var l Login
	err := q.scan(ctx, append(append(l.LoginSession.fields(), l.User.fields()...), &l.HasRole), loginQuery, idHash)
	if err != nil {
		return nil, translate(err)
	}
	if !l.Live(now) || !l.User.Active() {
		return nil, ErrNotFound
	}
	return &l, nil
}

// LoginNamed returns a live session by the name that tokens carry as sid, or
// ErrNotFound: whose it is, how and when they signed in and were seen, and until when it
// lasts. It opens nothing: whoever has a token of the session may ask about it.
func (q Queries) LoginNamed(ctx context.Context, sid string, now time.Time) (*LoginSession, error) {
	var s LoginSession
	err := q.scan(ctx, []any{&s.SID, &s.UserID, &s.AuthTime, &s.AMR, &s.CreatedAt, &s.LastSeenAt, &s.IdleExpiresAt, &s.ExpiresAt, &s.RevokedAt},
		`SELECT sid, user_id, auth_time, amr, created_at, last_seen_at, idle_expires_at, expires_at, revoked_at FROM login_sessions WHERE sid = ?`, sid)
	if err != nil {
		return nil, err
	}
	if !s.Live(now) {
		return nil, ErrNotFound
	}
	return &s, nil
}

const loginColumns = `s.id_hash, s.sid, s.user_id, s.auth_time, s.amr, s.continue_as_me, s.ip, s.user_agent, s.created_at,
	s.last_seen_at, s.idle_expires_at, s.expires_at, s.revoked_at, s.console_hash, s.console_idle_expires_at`

var loginQuery = `SELECT ` + loginColumns + `, ` + userColumns + `,
	EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = s.user_id) OR EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = s.user_id AND m.role IS NOT NULL)
	FROM login_sessions s JOIN users u ON u.id = s.user_id WHERE s.id_hash = ?`

func (s *LoginSession) fields() []any {
	return []any{
		&s.IDHash, &s.SID, &s.UserID, &s.AuthTime, &s.AMR, &s.ContinueAsMe, &s.IP, &s.UserAgent, &s.CreatedAt,
		&s.LastSeenAt, &s.IdleExpiresAt, &s.ExpiresAt, &s.RevokedAt, &s.ConsoleHash, &s.ConsoleIdleExpiresAt,
	}
}

// HoldLogin makes sure that a session still stands when the commit happens.
// ErrSpent: it has ended since it was read.
func (tx *Tx) HoldLogin(ctx context.Context, sid string, now time.Time) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM login_sessions WHERE sid = ? AND revoked_at = 0 AND expires_at > ?`+lock, sid, At(now))
	if errors.Is(err, ErrNotFound) {
		return ErrSpent
	}
	return err
}

// CreateLoginSession adds a session.
func (tx *Tx) CreateLoginSession(ctx context.Context, s *LoginSession) error {
	s.UserAgent = text(s.UserAgent) // a header may hold any bytes
	return translate(tx.conn(ctx).Create(s).Error)
}

// TouchLoginSession notes that a live session was used, which moves its idle expiry.
func (tx *Tx) TouchLoginSession(ctx context.Context, idHash []byte, seen, idleExpires time.Time) error {
	return translate(tx.conn(ctx).Exec(
		`UPDATE login_sessions SET last_seen_at = ?, idle_expires_at = ? WHERE id_hash = ? AND revoked_at = 0`,
		At(seen), At(idleExpires), idHash).Error)
}

// OpenConsole opens the console over a live session. ErrSpent: it has ended.
func (tx *Tx) OpenConsole(ctx context.Context, s *LoginSession) error {
	return tx.spend(ctx, `UPDATE login_sessions SET console_hash = ?, console_idle_expires_at = ? WHERE id_hash = ? AND revoked_at = 0`,
		s.ConsoleHash, s.ConsoleIdleExpiresAt, s.IDHash)
}

// TouchConsole notes that the console of a live session was used, which moves its
// idle expiry.
func (tx *Tx) TouchConsole(ctx context.Context, idHash []byte, idleExpires time.Time) error {
	_, err := tx.exec(ctx, `UPDATE login_sessions SET console_idle_expires_at = ? WHERE id_hash = ? AND revoked_at = 0`, At(idleExpires), idHash)
	return err
}

// RememberContinueAsMe keeps the choices of a session.
func (tx *Tx) RememberContinueAsMe(ctx context.Context, idHash []byte, r Remembered) error {
	return translate(tx.conn(ctx).Exec(`UPDATE login_sessions SET continue_as_me = ? WHERE id_hash = ?`, r, idHash).Error)
}

// RenewLoginSession gives a session a new id and what a new sign-in of the same person
// brings (SECURITY D01). It stays one row, so that whoever ends the session meanwhile
// finds it. ErrSpent: it has ended.
func (tx *Tx) RenewLoginSession(ctx context.Context, old []byte, s *LoginSession) error {
	return tx.spend(ctx, `UPDATE login_sessions SET id_hash = ?, auth_time = ?, amr = ?, ip = ?, user_agent = ?, last_seen_at = ?, idle_expires_at = ?,
		console_hash = ?, console_idle_expires_at = ? WHERE id_hash = ? AND revoked_at = 0`,
		s.IDHash, s.AuthTime, s.AMR, s.IP, text(s.UserAgent), s.LastSeenAt, s.IdleExpiresAt, s.ConsoleHash, s.ConsoleIdleExpiresAt, old)
}

// NoteSignIn notes that a user has just shown a password, which is still theirs, and
// they active, when the commit happens. ErrNotFound: not so.
func (tx *Tx) NoteSignIn(ctx context.Context, u *User, now time.Time) error {
	err := tx.spend(ctx, `UPDATE users SET last_sign_in_at = ? WHERE id = ? AND status = 'active' AND password_changed_at = ?`,
		At(now), u.ID, u.PasswordChangedAt)
	if errors.Is(err, ErrSpent) {
		return ErrNotFound
	}
	return err
}

// EndIdleLogin is EndLogin for a session that has been idle for too long; ErrSpent
// where it has not.
func (tx *Tx) EndIdleLogin(ctx context.Context, sid string, by Cause, now time.Time) error {
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM login_sessions WHERE sid = ? AND idle_expires_at <= ?`, sid, At(now))
	if errors.Is(err, ErrNotFound) {
		return ErrSpent
	}
	if err != nil {
		return err
	}
	return tx.EndLogin(ctx, sid, by, now)
}

// EndLogin ends one session, the impersonations that run over it, and what it granted
// to clients that are registered for that. Clients that want to hear of it are told.
// It reports ErrSpent when the session had ended before.
func (tx *Tx) EndLogin(ctx context.Context, sid string, by Cause, now time.Time) error {
	res := tx.conn(ctx).Exec(`UPDATE login_sessions SET revoked_at = ? WHERE sid = ? AND revoked_at = 0`, At(now), sid)
	if res.Error != nil {
		return translate(res.Error)
	}
	if res.RowsAffected == 0 {
		return ErrSpent
	}
	err := tx.revokeGrants(ctx, now, `user_id = (SELECT user_id FROM login_sessions WHERE sid = ?) AND login_sid = ? AND impersonation_id = ''
		AND client_id IN (SELECT id FROM clients WHERE revoke_on_logout)`, sid, sid)
	if err != nil {
		return err
	}
	if err := tx.notify(ctx, now, "''", "= ?", sid); err != nil {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{LoginSID: sid}, by.With(EndSignedOut), now)
}

// EndWithoutLogin ends what a user does as others and no sign-in of theirs ends with, and
// takes back what waits to be started, but for the tickets of the sign-in with the sid keep.
func (tx *Tx) EndWithoutLogin(ctx context.Context, userID, keep string, by Cause, now time.Time) error {
	if err := tx.withdrawStarts(ctx, ImpersonationFilter{Actor: userID}, keep, by, now); err != nil {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{Actor: userID, NoLogin: true}, by.With(EndSignedOut), now)
}

// LiveLogins returns where a user is signed in, last used first.
func (q Queries) LiveLogins(ctx context.Context, userID string, now time.Time) ([]LoginSession, error) {
	var found []LoginSession
	err := q.conn(ctx).Where("user_id = ? AND revoked_at = 0 AND idle_expires_at > ? AND expires_at > ?", userID, At(now), At(now)).
		Order("last_seen_at DESC, sid").Find(&found).Error
	return found, translate(err)
}

// OpenLogins returns the sign-ins of a user that have not ended, also those that have
// been idle for too long: an impersonation may still run over one.
func (q Queries) OpenLogins(ctx context.Context, userID string, now time.Time) ([]LoginSession, error) {
	var found []LoginSession
	err := q.conn(ctx).Where("user_id = ? AND revoked_at = 0 AND expires_at > ?", userID, At(now)).Order("sid").Find(&found).Error
	return found, translate(err)
}

// EndLoginOf is EndLogin for a session that must be the user's. ErrNotFound: they have
// no such session, or it has ended.
func (tx *Tx) EndLoginOf(ctx context.Context, userID, sid string, by Cause, now time.Time) error {
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM login_sessions WHERE sid = ? AND user_id = ?`, sid, userID)
	if err != nil {
		return err
	}
	err = tx.EndLogin(ctx, sid, by, now)
	if errors.Is(err, ErrSpent) {
		return ErrNotFound
	}
	return err
}

// endLoginSessions ends all sessions of a user but the one with the sid keep, and has
// clients told of it.
func (tx *Tx) endLoginSessions(ctx context.Context, userID, keep string, now time.Time) error {
	err := tx.conn(ctx).Model(&LoginSession{}).Where("revoked_at = 0 AND user_id = ? AND sid <> ?", userID, keep).UpdateColumn("revoked_at", At(now)).Error
	if err != nil {
		return translate(err)
	}
	return tx.notify(ctx, now, "''", "IN (SELECT sid FROM login_sessions WHERE user_id = ? AND sid <> ?)", userID, keep)
}
