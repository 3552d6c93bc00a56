package storage

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
)

// EndReason says why an impersonation ended.
type EndReason string

// The reasons for an end.
const (
	EndStopped            EndReason = "stopped"
	EndExpired            EndReason = "expired"
	EndSignedOut          EndReason = "signed_out"
	EndActorDisabled      EndReason = "actor_disabled"
	EndSubjectDisabled    EndReason = "subject_disabled"
	EndPermissionLost     EndReason = "permission_lost"
	EndClientDisallowed   EndReason = "client_disallowed"
	EndSwitchedOff        EndReason = "switched_off"
	EndCredentialsChanged EndReason = "credentials_changed"
	EndReusedToken        EndReason = "reused_token"
)

// Impersonation is one recorded act: this actor, as this subject, at this
// client, for this reason, until then. Everything derived from it names it.
type Impersonation struct {
	ID             string `gorm:"primaryKey"` // also the sid of its tokens
	ActorID        string
	SubjectID      string
	ClientID       string
	OrganizationID string
	LoginSID       string `gorm:"column:login_sid"` // the actor's sign-in that it lies over; empty: none
	Entry          string // consent, console, api or token_exchange
	TicketID       string
	Binding        string // of its ticket; empty: there was none
	CreatedBy      string // the caller of the API that asked for it; empty: the actor
	BrowserHash    []byte // where it may be stopped without a sign-in; nil: nowhere
	Reason         string
	TicketRef      string
	Access         string // read_only or full
	Scopes         List   // no others were granted; empty: no bound
	IP             string `gorm:"column:ip"` // from which it was started; forgotten at its end, but for the record
	StartedAt      Time
	ExpiresAt      Time
	EndedAt        Time
	EndedBy        string // who stopped it; empty: nobody, the rules did
	EndReason      EndReason
	ApprovalID     string // that it rests on; empty: none was needed
	NotifyEnd      bool   // its subject is told of the end by mail
}

// Running reports whether the impersonation is under way.
func (i *Impersonation) Running(now time.Time) bool {
	return !i.EndedAt.Set() && !i.ExpiresAt.Passed(now)
}

// Cause is who or what makes a change, for the record.
type Cause struct {
	By     string // a user id; empty: the product itself
	Reason EndReason
	Request
}

// Request is what the record keeps of the request behind a change.
type Request struct {
	ID        string
	IP        string
	UserAgent string
}

// With returns the cause with this reason, unless it has one of its own.
func (c Cause) With(r EndReason) Cause {
	if c.Reason == "" {
		c.Reason = r
	}
	return c
}

// ImpersonationFilter selects impersonations by what is not empty.
type ImpersonationFilter struct {
	ID, Actor, Subject, Client, LoginSID string
	Party                                string // actor or subject
	Caller                               string // who asked for it by the API
	NoLogin                              bool   // over no sign-in of the actor's
	Browser                              []byte // in which they were started without a sign-in, by its hash; nil: any
	Running                              bool
	Due                                  bool     // time ran out, end not recorded
	Over                                 bool     // it runs no more
	Organizations                        []string // in any of these; nil: everywhere
	Before                               Mark     // only what comes after this one in the list
	Limit                                int      // zero: all
}

func (f ImpersonationFilter) scope(db *gorm.DB) *gorm.DB {
	for column, value := range map[string]string{
		"id": f.ID, "actor_id": f.Actor, "subject_id": f.Subject, "client_id": f.Client, "created_by": f.Caller,
	} {
		if value != "" {
			db = db.Where(column+" = ?", value)
		}
	}
	if f.LoginSID != "" {
		db = db.Where("login_sid = ? AND login_sid <> ''", f.LoginSID) // the index is of such only
	}
	if f.NoLogin {
		db = db.Where("login_sid = ''")
	}
	if f.Browser != nil {
		db = db.Where("browser_hash = ?", f.Browser)
	}
	if f.Party != "" {
		db = db.Where("(actor_id = ? OR subject_id = ?)", f.Party, f.Party)
	}
	if f.Organizations != nil {
		db = db.Where("organization_id IN ?", append([]string{}, f.Organizations...))
	}
	if f.Before.Set() {
		db = db.Where("(started_at < ? OR started_at = ? AND id > ?)", f.Before.Time, f.Before.Time, f.Before.ID)
	}
	return db
}

// Impersonation returns the impersonation with the given id, or ErrNotFound.
func (q Queries) Impersonation(ctx context.Context, id string) (*Impersonation, error) {
	var i Impersonation
	err := q.scan(ctx, i.fields(), `SELECT `+impersonationColumns+` FROM impersonations i WHERE i.id = ?`, id)
	if err != nil {
		return nil, err
	}
	return &i, nil
}

const impersonationColumns = `i.id, i.actor_id, i.subject_id, i.client_id, i.organization_id, i.login_sid, i.entry, i.ticket_id, i.binding, i.created_by,
	i.browser_hash, i.reason, i.ticket_ref, i.access, i.scopes, i.ip, i.started_at, i.expires_at, i.ended_at, i.ended_by, i.end_reason, i.approval_id, i.notify_end`

func (i *Impersonation) fields() []any {
	return []any{
		&i.ID, &i.ActorID, &i.SubjectID, &i.ClientID, &i.OrganizationID, &i.LoginSID, &i.Entry, &i.TicketID, &i.Binding, &i.CreatedBy,
		&i.BrowserHash, &i.Reason, &i.TicketRef, &i.Access, &i.Scopes, &i.IP, &i.StartedAt, &i.ExpiresAt, &i.EndedAt, &i.EndedBy, &i.EndReason,
		&i.ApprovalID, &i.NotifyEnd,
	}
}

// Impersonations returns those that the filter selects, latest first.
func (q Queries) Impersonations(ctx context.Context, f ImpersonationFilter, now time.Time) ([]Impersonation, error) {
	return q.impersonations(ctx, f.Actor != "" || f.Running || f.Due, "started_at DESC, id", f.Limit, func(db *gorm.DB) *gorm.DB {
		db = f.scope(db)
		if f.Running {
			db = db.Where("ended_at = 0 AND expires_at > ?", At(now))
		}
		if f.Due {
			db = db.Where("ended_at = 0 AND expires_at <= ?", At(now))
		}
		if f.Over {
			db = db.Where("(ended_at <> 0 OR expires_at <= ?)", At(now))
		}
		return db
	})
}

// impersonations returns those that a scope selects, of all. The indexes are of those that
// have ended, so that to start one costs little; those that have not are few, and looked
// through. whole: the scope is one that the index of actors serves, which has all, or of
// such only that have not ended.
func (q Queries) impersonations(ctx context.Context, whole bool, order string, limit int, scope func(*gorm.DB) *gorm.DB) ([]Impersonation, error) {
	if whole {
		db := scope(q.conn(ctx)).Order(order)
		if limit > 0 {
			db = db.Limit(limit)
		}
		var found []Impersonation
		err := db.Find(&found).Error
		return found, translate(err)
	}
	return fromBoth[Impersonation](q.conn(ctx), "ended_at <> 0", "ended_at = 0", order, limit, scope)
}

// Usage is how much an actor does at the moment, for the limits.
type Usage struct {
	Started         int  // within the last hour
	FirstStarted    Time // of those; zero: none
	Running         int
	RunningAtClient int
}

const usageQuery = `SELECT
	COALESCE(SUM(CASE WHEN started_at > ? THEN 1 ELSE 0 END), 0) AS started,
	COALESCE(MIN(CASE WHEN started_at > ? THEN started_at END), 0) AS began,
	COALESCE(SUM(CASE WHEN ended_at = 0 AND expires_at > ? THEN 1 ELSE 0 END), 0) AS running,
	COALESCE(SUM(CASE WHEN ended_at = 0 AND expires_at > ? AND client_id = ? THEN 1 ELSE 0 END), 0) AS here
	FROM impersonations WHERE actor_id = ? AND started_at > ?`

func usageArgs(actorID, clientID string, now time.Time) []any {
	return []any{At(now.Add(-time.Hour)), At(now.Add(-time.Hour)), At(now), At(now), clientID, actorID, At(now.Add(-2 * time.Hour))}
}

// LockUser makes other changes of what a user may do, and other starts by them,
// wait until the commit. SQLite has one writer anyway.
func (tx *Tx) LockUser(ctx context.Context, userID string) error {
	if tx.dialect == SQLite {
		return nil
	}
	_, err := tx.exec(ctx, `SELECT 1 FROM users WHERE id = ? FOR UPDATE`, userID)
	return err
}

// HoldForStart makes whoever would forbid a start wait until it is committed, and
// then find it: the master switch, the client, the subject. What is read afterwards
// stands. SQLite has one writer anyway.
func (tx *Tx) HoldForStart(ctx context.Context, actorID, subjectID, clientID string) error {
	if tx.dialect == SQLite {
		return nil
	}
	if err := tx.LockUser(ctx, actorID); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `SELECT 1 FROM settings s, clients c, users u WHERE s.key = ? AND c.id = ? AND u.id = ? FOR SHARE`,
		impersonationEnabled, clientID, subjectID)
	return err
}

// HoldCaller is HoldForStart for the key or the client that vouches for the actor.
func (tx *Tx) HoldCaller(ctx context.Context, id string) error {
	if tx.dialect == SQLite {
		return nil
	}
	if _, err := tx.exec(ctx, `SELECT 1 FROM api_keys WHERE id = ? FOR SHARE`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `SELECT 1 FROM clients WHERE id = ? FOR SHARE`, id)
	return err
}

// CreateImpersonation adds an impersonation.
func (tx *Tx) CreateImpersonation(ctx context.Context, i *Impersonation) error {
	_, err := tx.exec(ctx, `INSERT INTO impersonations (id, actor_id, subject_id, client_id, organization_id, login_sid,
			entry, ticket_id, binding, created_by, browser_hash, reason, ticket_ref, access, scopes, ip, started_at, expires_at, ended_at, ended_by,
			end_reason, approval_id, notify_end)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		i.ID, i.ActorID, i.SubjectID, i.ClientID, i.OrganizationID, i.LoginSID, i.Entry, i.TicketID, i.Binding, i.CreatedBy,
		i.BrowserHash, i.Reason, i.TicketRef, i.Access, i.Scopes, i.IP, i.StartedAt, i.ExpiresAt, i.EndedAt, i.EndedBy, i.EndReason,
		i.ApprovalID, i.NotifyEnd)
	return err
}

// StopImpersonation ends one impersonation and everything derived from it.
// ErrSpent: it had ended before.
func (tx *Tx) StopImpersonation(ctx context.Context, id string, by Cause, now time.Time) error {
	if id == "" { // in a filter, empty selects all
		return ErrSpent
	}
	n, err := tx.endImpersonations(ctx, ImpersonationFilter{ID: id}, by.With(EndStopped), now)
	if err == nil && n == 0 {
		return ErrSpent
	}
	return err
}

// EndImpersonations ends all that the filter selects and that had not ended,
// revokes what they granted, records each end and has the clients told of it.
func (tx *Tx) EndImpersonations(ctx context.Context, f ImpersonationFilter, by Cause, now time.Time) error {
	_, err := tx.endImpersonations(ctx, f, by, now)
	return err
}

// ExpireImpersonations records the end of all whose time has run out.
func (tx *Tx) ExpireImpersonations(ctx context.Context, now time.Time) (int, error) {
	due, err := tx.lockRunning(tx.conn(ctx).Where("expires_at <= ?", At(now)))
	if err != nil {
		return 0, err
	}
	return len(due), tx.end(ctx, due, Cause{}, now)
}

func (tx *Tx) endImpersonations(ctx context.Context, f ImpersonationFilter, by Cause, now time.Time) (int, error) {
	running, err := tx.lockRunning(f.scope(tx.conn(ctx)))
	if err != nil {
		return 0, err
	}
	return len(running), tx.end(ctx, running, by, now)
}

// lockRunning returns those that have not ended, and on PostgreSQL keeps others
// from ending them first. In the order of the index of these: by id, SQLite would look
// through all that ever ended.
func (tx *Tx) lockRunning(db *gorm.DB) ([]Impersonation, error) {
	if tx.dialect == Postgres {
		db = forUpdate(db)
	}
	var running []Impersonation
	err := db.Where("ended_at = 0").Order("started_at, id").Find(&running).Error
	return running, translate(err)
}

// end ends those that were found to run. Some may have come to their own end before.
func (tx *Tx) end(ctx context.Context, running []Impersonation, by Cause, now time.Time) error {
	var stopped, expired []Impersonation
	for _, i := range running {
		if i.ExpiresAt.Passed(now) {
			expired = append(expired, i)
		} else {
			stopped = append(stopped, i)
		}
	}
	if err := tx.endAll(ctx, stopped, EventImpersonationStopped, strconv.FormatInt(int64(At(now)), 10), by, now); err != nil {
		return err
	}
	return tx.endAll(ctx, expired, EventImpersonationExpired, "expires_at", Cause{Reason: EndExpired, Request: by.Request}, now)
}

// endAll takes a few statements for a hundred: while everything is stopped, nobody else
// writes. When they ended is said in SQL.
func (tx *Tx) endAll(ctx context.Context, all []Impersonation, kind EventType, ended string, by Cause, now time.Time) error {
	for some := range slices.Chunk(all, rowsPerStatement) {
		ids, entries := make([]any, len(some)), make([]Entry, len(some))
		for n, i := range some {
			ids[n] = i.ID
			entries[n].Event = Event{
				Type: kind, ActorID: i.ActorID, SubjectID: i.SubjectID, ClientID: i.ClientID, OrganizationID: i.OrganizationID, ImpersonationID: i.ID,
				Data: Data{"ended_by": by.By, "end_reason": string(by.Reason)},
			}
		}
		these := "IN (?" + strings.Repeat(", ?", len(ids)-1) + ")"
		n, err := tx.exec(ctx, `UPDATE impersonations SET ended_at = `+ended+`, ended_by = ?, end_reason = ?, ip = ''
			WHERE ended_at = 0 AND id `+these, slices.Concat([]any{by.By, by.Reason}, ids)...)
		if err == nil && n != int64(len(some)) {
			err = ErrSpent
		}
		if err != nil {
			return err
		}
		if err := tx.revokeGrants(ctx, now, "impersonation_id <> '' AND impersonation_id "+these, ids...); err != nil {
			return err
		}
		if err := tx.notify(ctx, now, "n.sid", these, ids...); err != nil {
			return err
		}
		for _, i := range some {
			if !i.NotifyEnd {
				continue
			}
			if err := tx.QueueMail(ctx, MailEnded, i.SubjectID, i.ID, now); err != nil {
				return err
			}
		}
		if err := tx.RecordEach(ctx, entries, by.Request, now); err != nil {
			return err
		}
	}
	return nil
}
