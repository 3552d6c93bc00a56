package storage

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// UserStatus says whether a user may sign in or be signed in as.
type UserStatus string

// The statuses of a user.
const (
	UserActive   UserStatus = "active"
	UserDisabled UserStatus = "disabled"
)

// User is a person, with the standard claims of OpenID Connect Core 5.1.
type User struct {
	ID                  string `gorm:"primaryKey"`
	Email               string
	EmailKey            string // see EmailKey; what sign-in looks up
	EmailVerified       bool
	Name                string
	GivenName           string
	FamilyName          string
	MiddleName          string
	Nickname            string
	PreferredUsername   string
	Profile             string
	Picture             string
	Website             string
	Gender              string
	Birthdate           string
	Zoneinfo            string
	Locale              string
	PhoneNumber         string
	PhoneNumberVerified bool
	Address             string // a JSON object (OpenID Connect Core 5.1.1), or empty
	PasswordHash        string // PHC string; empty: no password sign-in
	PasswordChangedAt   Time
	Status              UserStatus
	NeverImpersonate    bool
	CreatedAt           Time `gorm:"autoCreateTime:false"`
	UpdatedAt           Time `gorm:"autoUpdateTime:false"`
	LastSignInAt        Time // by themselves
	DeletedAt           Time // then nothing personal is left
}

// userColumns are the columns of users, in the order of fields.
const userColumns = `u.id, u.email, u.email_key, u.email_verified, u.name, u.given_name, u.family_name, u.middle_name,
	u.nickname, u.preferred_username, u.profile, u.picture, u.website, u.gender, u.birthdate, u.zoneinfo, u.locale,
	u.phone_number, u.phone_number_verified, u.address, u.password_hash, u.password_changed_at, u.status,
	u.never_impersonate, u.created_at, u.updated_at, u.last_sign_in_at, u.deleted_at`

// fields are where a row of userColumns goes. Joins on the way of every request
// are read with it: reflection would cost more than the query.
func (u *User) fields() []any {
	return []any{
		&u.ID, &u.Email, &u.EmailKey, &u.EmailVerified, &u.Name, &u.GivenName, &u.FamilyName, &u.MiddleName,
		&u.Nickname, &u.PreferredUsername, &u.Profile, &u.Picture, &u.Website, &u.Gender, &u.Birthdate, &u.Zoneinfo, &u.Locale,
		&u.PhoneNumber, &u.PhoneNumberVerified, &u.Address, &u.PasswordHash, &u.PasswordChangedAt, &u.Status,
		&u.NeverImpersonate, &u.CreatedAt, &u.UpdatedAt, &u.LastSignInAt, &u.DeletedAt,
	}
}

// Active reports whether the user may sign in.
func (u *User) Active() bool { return u.Status == UserActive }

// Deleted reports whether the user was deleted. Such a user is disabled, too.
func (u *User) Deleted() bool { return u.DeletedAt.Set() }

// DisplayName returns the best name there is to show: name, else e-mail, else id.
func (u *User) DisplayName() string {
	for _, s := range []string{u.Name, u.Email} {
		if s != "" {
			return s
		}
	}
	return u.ID
}

// EmailKey folds an e-mail address so that spellings of one account are one key,
// and one throttle counter (SECURITY D09): trimmed, compatibility-normalized,
// case-folded.
func EmailKey(email string) string {
	// Trimmed last: to normalize may bring a space.
	return strings.TrimSpace(norm.NFKC.String(cases.Fold().String(norm.NFKC.String(email))))
}

// User returns the user with the given id, or ErrNotFound.
func (q Queries) User(ctx context.Context, id string) (*User, error) {
	return q.user(ctx, "u.id = ?", id)
}

// UserByEmail returns the user who signs in with this address, or ErrNotFound.
func (q Queries) UserByEmail(ctx context.Context, email string) (*User, error) {
	return q.user(ctx, "u.deleted_at = 0 AND u.email_key = ?", EmailKey(email))
}

func (q Queries) user(ctx context.Context, where string, arg any) (*User, error) {
	var u User
	err := q.scan(ctx, u.fields(), `SELECT `+userColumns+` FROM users u WHERE `+where, arg)
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// FindUser returns the user whom an operator names by id or e-mail, or ErrNotFound.
func (q Queries) FindUser(ctx context.Context, idOrEmail string) (*User, error) {
	u, err := q.User(ctx, idOrEmail)
	if errors.Is(err, ErrNotFound) {
		return q.UserByEmail(ctx, idOrEmail)
	}
	return u, err
}

// UsersWith returns the users who have one of these ids or e-mail keys: of each the
// id and the e-mail key, nothing else.
func (q Queries) UsersWith(ctx context.Context, ids, emailKeys []string) ([]User, error) {
	var users []User
	err := q.conn(ctx).Raw(`SELECT id, email_key FROM users WHERE id IN `+q.among()+`
		UNION SELECT id, email_key FROM users WHERE email_key IN `+q.among(), List(ids), List(emailKeys)).Scan(&users).Error
	return users, translate(err)
}

// UserSearch selects users. Zero values select all.
type UserSearch struct {
	Text          string   // part of the name or e-mail, or the whole id
	Organizations []string // members of any of these
	After         string   // the id after which to go on
	Limit         int      // at most this many; zero means 50
}

// SearchUsers returns matching users in the order of their ids.
func (q Queries) SearchUsers(ctx context.Context, s UserSearch) ([]User, error) {
	db := matching(q.conn(ctx).Model(&User{}).Where("deleted_at = 0"), s.Text)
	if len(s.Organizations) > 0 {
		db = db.Where("id IN (SELECT user_id FROM memberships WHERE organization_id IN ?)", s.Organizations)
	}
	if s.After != "" {
		db = db.Where("id > ?", s.After)
	}
	if s.Limit == 0 {
		s.Limit = 50
	}
	var users []User
	err := db.Order("id").Limit(s.Limit).Find(&users).Error
	return users, translate(err)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

// CreateUser adds a user. It fills ID, EmailKey, Status and the times where they
// are empty. ErrExists: the id or the e-mail address is taken.
func (tx *Tx) CreateUser(ctx context.Context, u *User, now time.Time) error {
	u.complete(now)
	return translate(tx.conn(ctx).Create(u).Error)
}

// CreateUsers adds users as CreateUser does, many with each statement.
func (tx *Tx) CreateUsers(ctx context.Context, users []User, now time.Time) error {
	for i := range users {
		users[i].complete(now)
	}
	return createAll(ctx, tx, users)
}

func (u *User) complete(now time.Time) {
	if u.ID == "" {
		u.ID = NewID("usr")
	}
	if u.Status == "" {
		u.Status = UserActive
	}
	u.EmailKey = EmailKey(u.Email)
	u.CreatedAt, u.UpdatedAt = At(now), At(now)
}

// SetPassword stores a new hash and ends everything that the old password opened:
// the user's sign-ins and grants, the impersonations they run and those of them, and what
// waits to start either (SECURITY D06, A14, A15).
func (tx *Tx) SetPassword(ctx context.Context, userID, hash string, by Cause, now time.Time) error {
	return tx.SetPasswordIn(ctx, userID, hash, "", by, now)
}

// SetPasswordIn is SetPassword from within a sign-in of the user's own, which goes on
// with what it granted: its sid is keep.
func (tx *Tx) SetPasswordIn(ctx context.Context, userID, hash, keep string, by Cause, now time.Time) error {
	err := tx.updateUser(ctx, userID, now, map[string]any{"password_hash": hash, "password_changed_at": At(now)})
	if err != nil {
		return err
	}
	if err := tx.endLoginSessions(ctx, userID, keep, now); err != nil {
		return err
	}
	if err := tx.revokeGrants(ctx, now, "user_id = ? AND (login_sid = '' OR login_sid <> ?)", userID, keep); err != nil {
		return err
	}
	if err := tx.withdrawStarts(ctx, ImpersonationFilter{Party: userID}, "", by, now); err != nil {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{Party: userID}, by.With(EndCredentialsChanged), now)
}

// UpdateProfile stores what users say about themselves: names, addresses on the web,
// language and time zone. Nothing else of u is looked at (SECURITY D14).
func (tx *Tx) UpdateProfile(ctx context.Context, u *User, now time.Time) error {
	return tx.updateUser(ctx, u.ID, now, map[string]any{
		"name": u.Name, "given_name": u.GivenName, "family_name": u.FamilyName, "nickname": u.Nickname,
		"profile": u.Profile, "picture": u.Picture, "website": u.Website, "zoneinfo": u.Zoneinfo, "locale": u.Locale,
	})
}

// UpgradePasswordHash replaces the hash of an unchanged password, if it is still old.
func (tx *Tx) UpgradePasswordHash(ctx context.Context, userID, old, hash string) error {
	return translate(tx.conn(ctx).Model(&User{}).Where("id = ? AND password_hash = ?", userID, old).
		UpdateColumn("password_hash", hash).Error)
}

// DisableUser ends the user's sign-ins, grants and impersonations, on either
// side, also those that wait to be started, and refuses new ones.
func (tx *Tx) DisableUser(ctx context.Context, userID string, by Cause, now time.Time) error {
	if err := tx.updateUser(ctx, userID, now, map[string]any{"status": UserDisabled}); err != nil {
		return err
	}
	return tx.endUser(ctx, userID, by, now)
}

// endUser ends what a user who no longer counts has open.
func (tx *Tx) endUser(ctx context.Context, userID string, by Cause, now time.Time) error {
	if err := tx.endLoginSessions(ctx, userID, "", now); err != nil {
		return err
	}
	if err := tx.revokeGrants(ctx, now, "user_id = ?", userID); err != nil {
		return err
	}
	if err := tx.withdrawStarts(ctx, ImpersonationFilter{Party: userID}, "", by, now); err != nil {
		return err
	}
	if err := tx.EndImpersonations(ctx, ImpersonationFilter{Actor: userID}, by.With(EndActorDisabled), now); err != nil {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{Subject: userID}, by.With(EndSubjectDisabled), now)
}

// EnableUser lets the user sign in again. What ended stays ended.
func (tx *Tx) EnableUser(ctx context.Context, userID string, now time.Time) error {
	return tx.updateUser(ctx, userID, now, map[string]any{"status": UserActive})
}

// SetNeverImpersonate protects a user, or stops doing so. Protecting ends
// impersonations of them.
func (tx *Tx) SetNeverImpersonate(ctx context.Context, userID string, never bool, by Cause, now time.Time) error {
	if err := tx.updateUser(ctx, userID, now, map[string]any{"never_impersonate": never}); err != nil || !never {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{Subject: userID}, by.With(EndPermissionLost), now)
}

// UpdateUser stores what is said about a user: e-mail address and standard claims,
// nothing else (SECURITY D14). ErrExists: the address is taken.
func (tx *Tx) UpdateUser(ctx context.Context, u *User, now time.Time) error {
	return tx.updateUser(ctx, u.ID, now, profileColumns(u))
}

func profileColumns(u *User) map[string]any {
	return map[string]any{
		"email": u.Email, "email_key": EmailKey(u.Email), "email_verified": u.EmailVerified,
		"name": u.Name, "given_name": u.GivenName, "family_name": u.FamilyName, "middle_name": u.MiddleName, "nickname": u.Nickname,
		"preferred_username": u.PreferredUsername, "profile": u.Profile, "picture": u.Picture, "website": u.Website, "gender": u.Gender,
		"birthdate": u.Birthdate, "zoneinfo": u.Zoneinfo, "locale": u.Locale,
		"phone_number": u.PhoneNumber, "phone_number_verified": u.PhoneNumberVerified, "address": u.Address,
	}
}

// DeleteUser ends everything that a user has open and forgets all that is personal.
// The row stays: nobody gets the id again (SECURITY D13), while the address is free.
// What the record and impersonations say of them names an id from now on.
func (tx *Tx) DeleteUser(ctx context.Context, userID string, by Cause, now time.Time) error {
	if err := tx.endUser(ctx, userID, by, now); err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM memberships WHERE user_id = ?`,
		`DELETE FROM user_roles WHERE user_id = ?`,
		`DELETE FROM consents WHERE user_id = ?`,
		`DELETE FROM support_access WHERE user_id = ?`,
		`DELETE FROM support_requests WHERE user_id = ?`,
		`DELETE FROM mails WHERE user_id = ?`,
		`UPDATE login_sessions SET ip = '', user_agent = '' WHERE user_id = ?`,
	} {
		if _, err := tx.exec(ctx, statement, userID); err != nil {
			return err
		}
	}
	if err := tx.forgetApprovals(ctx, userID); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE tickets SET revoked_at = ?, updated_at = ? WHERE (actor_id = ? OR subject_id = ?) AND redeemed_at = 0 AND revoked_at = 0`,
		At(now), At(now), userID, userID)
	if err != nil {
		return err
	}
	// What was asked for and why is in the record, where it can be erased.
	if _, err := tx.exec(ctx, `UPDATE tickets SET kept_until = ? WHERE actor_id = ? OR subject_id = ?`, At(now), userID, userID); err != nil {
		return err
	}
	nobody := profileColumns(&User{})
	maps.Copy(nobody, map[string]any{
		"email_key": "deleted:" + userID, "password_hash": "", "password_changed_at": At(now), "status": UserDisabled,
		"last_sign_in_at": 0, "deleted_at": At(now),
	})
	return tx.updateUser(ctx, userID, now, nobody)
}

// updateUser changes a user who was not deleted.
func (tx *Tx) updateUser(ctx context.Context, userID string, now time.Time, columns map[string]any) error {
	columns["updated_at"] = At(now)
	res := tx.conn(ctx).Model(&User{}).Where("id = ? AND deleted_at = 0", userID).UpdateColumns(columns)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}
