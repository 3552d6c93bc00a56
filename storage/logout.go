package storage

import (
	"context"
	"errors"
	"slices"
	"time"
)

// NoticeStatus says what became of a logout notice.
type NoticeStatus string

// The statuses of a notice. Only a pending one is sent.
const (
	NoticePending   NoticeStatus = "pending"
	NoticeDelivered NoticeStatus = "delivered"
	NoticeFailed    NoticeStatus = "failed"
)

// LogoutNotice is a logout token that a client is to get, and what came of it. The
// end of a session is told to a client once: sid and client are the notice's ID.
type LogoutNotice struct {
	ID              string `gorm:"primaryKey"`
	ClientID        string
	UserID          string
	SID             string `gorm:"column:sid"` // what ended: a sign-in, or an impersonation
	ImpersonationID string // set exactly when it was an impersonation
	Status          NoticeStatus
	Attempts        int64
	HTTPStatus      int64  // of the last answer; zero: there was none
	Error           string // of the last attempt
	CreatedAt       Time   `gorm:"autoCreateTime:false"`
	NextAttemptAt   Time
	DoneAt          Time
	ExpiresAt       Time
}

const (
	// noticesKept is how long what came of a notice can be asked for.
	noticesKept = 30 * 24 * time.Hour
	// notedAfterEnd is how long after its end an impersonation may still have to
	// be told of: servers that were down record it late.
	notedAfterEnd = 24 * time.Hour
	// longestWait is more than any notice waits for its next attempt: one that seems
	// to was written before the clock was set back, and is due.
	longestWait = 15 * time.Minute
)

// NoteLogin notes that a client has a session under the sid of a sign-in, so that
// it will be told of the end. ErrSpent: the sign-in ended since it was read, and
// nobody would tell the client any more.
func (tx *Tx) NoteLogin(ctx context.Context, sid, clientID string, now time.Time) error {
	return tx.note(ctx, `SELECT s.sid, ?, s.user_id, s.expires_at FROM login_sessions s
		WHERE s.sid = ? AND s.revoked_at = 0 AND s.expires_at > ?`, clientID, sid, At(now))
}

// NoteImpersonation notes that the client of an impersonation has a session of it.
// ErrSpent: it has ended.
func (tx *Tx) NoteImpersonation(ctx context.Context, id string) error {
	return tx.note(ctx, `SELECT i.id, i.client_id, i.subject_id, i.expires_at + ? FROM impersonations i
		WHERE i.id = ? AND i.ended_at = 0`, notedAfterEnd.Microseconds(), id)
}

// note adds the row that a query makes. On PostgreSQL the session cannot end before
// the commit, so that whoever ends it finds the row.
func (tx *Tx) note(ctx context.Context, session string, args ...any) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR SHARE"
	}
	err := tx.spend(ctx, `INSERT INTO session_clients (sid, client_id, user_id, expires_at) `+session+lock+`
		ON CONFLICT (sid, client_id) DO UPDATE SET expires_at = excluded.expires_at`, args...)
	if errors.Is(err, ErrReference) { // the client is gone
		return ErrSpent
	}
	return err
}

// notify queues a notice for each client that has a session under one of the sids
// and wants to be told, and forgets these sessions. sids is a condition on a sid.
// impersonation is the id of the impersonation that is told of, in SQL: n.sid where the
// sids are of impersonations, a quoted empty string where they are of sign-ins.
func (tx *Tx) notify(ctx context.Context, now time.Time, impersonation, sids string, args ...any) error {
	n, err := tx.exec(ctx, `
		INSERT INTO logout_notices (id, client_id, user_id, sid, impersonation_id, created_at, next_attempt_at, expires_at)
		SELECT n.sid || '.' || n.client_id, n.client_id, n.user_id, n.sid, `+impersonation+`, ?, ?, ?
		FROM session_clients n JOIN clients c ON c.id = n.client_id
		WHERE c.backchannel_logout_uri <> '' AND n.sid `+sids+` ON CONFLICT (id) DO NOTHING`,
		append([]any{At(now), At(now), At(now.Add(noticesKept))}, args...)...)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(ctx, `DELETE FROM session_clients WHERE sid `+sids, args...)
	return err
}

// dropNotices gives up what a client was still to be told, because it is gone.
func (tx *Tx) dropNotices(ctx context.Context, clientID string, now time.Time) error {
	_, err := tx.exec(ctx, `UPDATE logout_notices SET status = 'failed', error = 'the client is gone', done_at = ?
		WHERE client_id = ? AND status = 'pending'`, At(now), clientID)
	return err
}

// DueLogoutClients returns the clients that are to be told something now, whoever
// waits longest first.
func (q Queries) DueLogoutClients(ctx context.Context, now time.Time) ([]string, error) {
	var ids []string
	err := q.conn(ctx).Raw(`SELECT client_id FROM logout_notices WHERE status = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?)
		GROUP BY client_id ORDER BY MIN(next_attempt_at), client_id`, At(now), At(now.Add(longestWait))).Scan(&ids).Error
	return ids, translate(err)
}

// ClaimLogoutNotices takes up to limit due notices of a client, for one attempt
// each. Nobody else takes them before until; whoever is gone by then only delayed
// them.
func (tx *Tx) ClaimLogoutNotices(ctx context.Context, clientID string, limit int, now, until time.Time) ([]LogoutNotice, error) {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	var claimed []LogoutNotice
	err := tx.conn(ctx).Raw(`
		WITH due AS (SELECT id FROM logout_notices WHERE status = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?) AND client_id = ?
			ORDER BY next_attempt_at LIMIT ?`+lock+`)
		UPDATE logout_notices SET attempts = attempts + 1, next_attempt_at = ? WHERE id IN (SELECT id FROM due) RETURNING *`,
		At(now), At(now.Add(longestWait)), clientID, limit, At(until)).Scan(&claimed).Error
	return claimed, translate(err)
}

// FinishLogoutNotice stores how the attempt ended with which n was claimed: its
// Status, HTTPStatus, Error and, where it is still pending, NextAttemptAt. ErrSpent:
// the notice is done, or somebody else has claimed it since. That it was delivered
// counts even then.
func (tx *Tx) FinishLogoutNotice(ctx context.Context, n *LogoutNotice, now time.Time) error {
	var done Time
	if n.Status != NoticePending {
		done = At(now)
	}
	statement := `UPDATE logout_notices SET status = ?, http_status = ?, error = ?, next_attempt_at = ?, done_at = ?
		WHERE id = ? AND status = 'pending'`
	args := []any{n.Status, n.HTTPStatus, text(n.Error), n.NextAttemptAt, done, n.ID}
	if n.Status != NoticeDelivered {
		statement, args = statement+` AND attempts = ?`, append(args, n.Attempts)
	}
	return tx.spend(ctx, statement, args...)
}

// LogoutNotices returns what clients were told, or are to be told, of the ends of
// impersonations, by impersonation and client.
func (q Queries) LogoutNotices(ctx context.Context, impersonationIDs []string) ([]LogoutNotice, error) {
	var all []LogoutNotice
	for ids := range slices.Chunk(impersonationIDs, 500) { // a statement has so many parameters
		var found []LogoutNotice
		err := q.conn(ctx).Where("impersonation_id <> '' AND impersonation_id IN ?", ids).
			Order("impersonation_id, client_id").Find(&found).Error
		if err != nil {
			return nil, translate(err)
		}
		all = append(all, found...)
	}
	return all, nil
}
