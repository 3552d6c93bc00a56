package storage

import (
	"context"
	"time"
)

// MailKind says what a mail tells.
type MailKind string

// The kinds of mails, and what AboutID names.
const (
	MailStarted         MailKind = "impersonation_started" // an impersonation of the user
	MailEnded           MailKind = "impersonation_ended"   // the same
	MailSupportRequest  MailKind = "support_requested"     // a support request to the user
	MailApprovalRequest MailKind = "approval_requested"    // an approval that the user may decide
)

// Mail is a notice that a user is to get, and what came of it. What it says is read when
// it is sent. A user is told of one thing once: kind, thing and user are its ID.
type Mail struct {
	ID            string `gorm:"primaryKey"`
	Kind          MailKind
	UserID        string
	AboutID       string
	Status        NoticeStatus
	Attempts      int64
	Error         string // of the last attempt
	CreatedAt     Time   `gorm:"autoCreateTime:false"`
	NextAttemptAt Time
	DoneAt        Time
	ExpiresAt     Time
}

// mailsKept is how long what came of a mail can be asked for.
const mailsKept = 30 * 24 * time.Hour

// QueueMail has a user told of something, once.
func (tx *Tx) QueueMail(ctx context.Context, kind MailKind, userID, aboutID string, now time.Time) error {
	_, err := tx.exec(ctx, queueMail+`SELECT ?, ?, u.id, ?, ?, ?, ? FROM users u WHERE u.id = ? ON CONFLICT (id) DO NOTHING`,
		string(kind)+"."+aboutID+"."+userID, string(kind), aboutID, At(now), At(now), At(now.Add(mailsKept)), userID)
	return err
}

const queueMail = `INSERT INTO mails (id, kind, user_id, about_id, created_at, next_attempt_at, expires_at) `

// maxTold is how many people are told of one request for approval.
const maxTold = 50

// QueueApprovalMails has those told of a request for approval who hold the permission to
// decide it, everywhere or in its organization.
func (tx *Tx) QueueApprovalMails(ctx context.Context, a *Approval, permission string, now time.Time) error {
	holds := `r.permissions LIKE ?`
	_, err := tx.exec(ctx, queueMail+`SELECT ? || u.id, ?, u.id, ?, ?, ?, ? FROM users u
		WHERE u.status = 'active' AND u.deleted_at = 0 AND u.id NOT IN (?, ?) AND (
			EXISTS (SELECT 1 FROM user_roles h JOIN roles r ON r.name = h.role WHERE h.user_id = u.id AND `+holds+`) OR
			EXISTS (SELECT 1 FROM memberships h JOIN roles r ON r.name = h.role WHERE h.user_id = u.id AND h.organization_id = ? AND `+holds+`))
		ORDER BY u.id LIMIT ? ON CONFLICT (id) DO NOTHING`,
		string(MailApprovalRequest)+"."+a.ID+".", string(MailApprovalRequest), a.ID, At(now), At(now), At(now.Add(mailsKept)),
		a.ActorID, a.SubjectID, `%"`+permission+`"%`, a.OrganizationID, `%"`+permission+`"%`, maxTold)
	return err
}

// DueMail reports whether a mail is to be sent now.
func (q Queries) DueMail(ctx context.Context, now time.Time) (bool, error) {
	var due bool
	err := q.scan(ctx, []any{&due}, `SELECT EXISTS (SELECT 1 FROM mails WHERE status = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?))`,
		At(now), At(now.Add(longestWait)))
	return due, err
}

// ClaimMails takes up to limit due mails, for one attempt each, oldest first. Nobody
// else takes them before until; whoever is gone by then only delayed them.
func (tx *Tx) ClaimMails(ctx context.Context, limit int, now, until time.Time) ([]Mail, error) {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	var claimed []Mail
	err := tx.conn(ctx).Raw(`
		WITH due AS (SELECT id FROM mails WHERE status = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?)
			ORDER BY next_attempt_at, id LIMIT ?`+lock+`)
		UPDATE mails SET attempts = attempts + 1, next_attempt_at = ? WHERE id IN (SELECT id FROM due) RETURNING *`,
		At(now), At(now.Add(longestWait)), limit, At(until)).Scan(&claimed).Error
	return claimed, translate(err)
}

// FinishMail stores how the attempt ended with which m was claimed: its Status, Error
// and, where it is still pending, NextAttemptAt. ErrSpent: it is done, or somebody else
// has claimed it since. That it was delivered counts even then.
func (tx *Tx) FinishMail(ctx context.Context, m *Mail, now time.Time) error {
	var done Time
	if m.Status != NoticePending {
		done = At(now)
	}
	statement := `UPDATE mails SET status = ?, error = ?, next_attempt_at = ?, done_at = ? WHERE id = ? AND status = 'pending'`
	args := []any{m.Status, text(m.Error), m.NextAttemptAt, done, m.ID}
	if m.Status != NoticeDelivered {
		statement, args = statement+` AND attempts = ?`, append(args, m.Attempts)
	}
	return tx.spend(ctx, statement, args...)
}

// MailState is how it stands with the mails of the last month.
type MailState struct {
	Waiting, Failed int64
	LastError       string // of a mail that waits or failed, the latest; empty: there is none
	LastErrorAt     Time
}

// MailState returns how it stands with the mails.
func (q Queries) MailState(ctx context.Context) (MailState, error) {
	var s MailState
	err := q.scan(ctx, []any{&s.Waiting, &s.Failed, &s.LastError, &s.LastErrorAt}, `
		SELECT (SELECT COUNT(*) FROM mails WHERE status = 'pending'), (SELECT COUNT(*) FROM mails WHERE status = 'failed'),
			COALESCE((SELECT error FROM mails WHERE error <> '' AND status <> 'delivered' ORDER BY next_attempt_at DESC LIMIT 1), ''),
			COALESCE((SELECT MAX(next_attempt_at) FROM mails WHERE error <> '' AND status <> 'delivered'), 0)`)
	return s, err
}

// Mails returns the mails about something, by kind and user.
func (q Queries) Mails(ctx context.Context, aboutID string) ([]Mail, error) {
	var found []Mail
	err := q.conn(ctx).Where("about_id = ?", aboutID).Order("kind, user_id").Find(&found).Error
	return found, translate(err)
}
