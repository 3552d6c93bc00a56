package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// What people change about their own account. Each method is one Write that holds the
// change and its event. The person is the one who is signed in: no method takes a user
// from a form.

// SignOutOf ends another sign-in of the same person, with what runs over it.
// storage.ErrNotFound: they have no such sign-in, or it has ended.
func (p *Provider) SignOutOf(ctx context.Context, l *storage.Login, sid string, r storage.Request, now time.Time) error {
	return p.store.Write(ctx, func(tx *storage.Tx) error { return signOutOf(ctx, tx, l.User.ID, sid, r, now) })
}

// SignOutOthers ends all sign-ins of a person but the one that asks for it, what they do
// as others over none, and what they asked for elsewhere and did not start.
func (p *Provider) SignOutOthers(ctx context.Context, l *storage.Login, r storage.Request, now time.Time) error {
	return p.store.Write(ctx, func(tx *storage.Tx) error {
		live, err := tx.OpenLogins(ctx, l.User.ID, now)
		if err != nil {
			return fmt.Errorf("load sign-ins: %w", err)
		}
		for _, other := range live {
			if other.SID == l.SID {
				continue
			}
			err := signOutOf(ctx, tx, l.User.ID, other.SID, r, now)
			if err != nil && !isNotFound(err) { // it has ended by itself
				return err
			}
		}
		return tx.EndWithoutLogin(ctx, l.User.ID, l.SID, storage.Cause{By: l.User.ID, Request: r}, now)
	})
}

func signOutOf(ctx context.Context, tx *storage.Tx, userID, sid string, r storage.Request, now time.Time) error {
	if err := tx.EndLoginOf(ctx, userID, sid, storage.Cause{By: userID, Request: r}, now); err != nil {
		return err
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventSessionRevoked, ActorID: userID, SubjectID: userID, Data: storage.Data{"sid": sid},
	}, storage.Private{}, r, now)
}

// NewPassword says what is wrong with a password that somebody wants to have, in words
// for them; empty: nothing.
func NewPassword(password string) string {
	if checkPassword(password) != nil {
		return "A password has 8 to 1024 characters."
	}
	return ""
}

// ChangePassword gives a person who shows the one they have another password, and ends
// everything that the old one opened but the sign-in it is changed in (SECURITY D06).
// It returns them as they are stored afterwards. ErrCredentials, Throttled: as for a
// sign-in.
func (p *Provider) ChangePassword(ctx context.Context, l *storage.Login, current, password string, r storage.Request, now time.Time) (*storage.User, error) {
	u, err := p.CheckPassword(ctx, l.User.Email, current, r, now)
	if err != nil {
		return nil, err
	}
	hash, err := hashPassword(password, p.config.PasswordHashing)
	if err != nil {
		return nil, err
	}
	by := storage.Cause{By: u.ID, Request: r}
	err = p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.LockUser(ctx, u.ID); err != nil {
			return err
		}
		stored, err := tx.User(ctx, u.ID)
		if err != nil {
			return fmt.Errorf("load user: %w", err)
		}
		if stored.PasswordChangedAt != u.PasswordChangedAt { // by somebody else, meanwhile
			return ErrCredentials
		}
		if err := tx.SetPasswordIn(ctx, u.ID, hash, l.SID, by, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventUserPasswordChanged, ActorID: u.ID, SubjectID: u.ID,
		}, storage.Private{}, r, now)
	})
	u.PasswordHash, u.PasswordChangedAt = hash, storage.At(now)
	return u, err
}

// Profile is what people say about themselves, and nobody has to check.
type Profile struct {
	Name, GivenName, FamilyName, Nickname string
	Profile, Picture, Website             string
	Zoneinfo, Locale                      string
}

// ProfileOf returns what a user says.
func ProfileOf(u *storage.User) Profile {
	return Profile{u.Name, u.GivenName, u.FamilyName, u.Nickname, u.Profile, u.Picture, u.Website, u.Zoneinfo, u.Locale}
}

// claims are the profile's claims, by name.
func (p *Profile) claims() map[string]*string {
	return map[string]*string{
		"name": &p.Name, "given_name": &p.GivenName, "family_name": &p.FamilyName, "nickname": &p.Nickname,
		"profile": &p.Profile, "picture": &p.Picture, "website": &p.Website, "zoneinfo": &p.Zoneinfo, "locale": &p.Locale,
	}
}

// Problems says what is wrong with a profile, in words for the person, by claim.
func (p Profile) Problems() map[string]string {
	problems := map[string]string{}
	for name, value := range p.claims() {
		if *value == "" || checkClaim(name, *value) == nil {
			continue
		}
		switch name {
		case "profile", "picture", "website":
			problems[name] = "Type an address on the web, like https://example.com."
		case "zoneinfo":
			problems[name] = "Type the name of a time zone, like Europe/Paris."
		case "locale":
			problems[name] = "Type a language, like en-GB."
		default:
			problems[name] = "This is one line of at most 300 characters."
		}
	}
	return problems
}

// SetProfile stores what a person says about themselves. The event names the claims
// that changed, and none of what is in them.
func (d *Directory) SetProfile(ctx context.Context, userID string, profile Profile, r storage.Request, now time.Time) error {
	data := storage.Data{}
	by := storage.Cause{By: userID, Request: r}
	return d.change(ctx, userID, storage.EventUserUpdated, data, by, now, func(tx *storage.Tx, u *storage.User) (bool, error) {
		had := ProfileOf(u)
		before, after := had.claims(), profile.claims()
		var changed []string
		for _, stored := range claimTexts(u) {
			value, mine := after[stored.name]
			if mine && *before[stored.name] != *value {
				changed = append(changed, stored.name)
				*stored.value = *value
			}
		}
		if len(changed) == 0 {
			return false, nil
		}
		data["claims"] = changed
		if err := ValidateUser(u); err != nil {
			return false, err
		}
		return true, tx.UpdateProfile(ctx, u, now)
	})
}

// RevokeConsent takes back what a person allows an application, and ends what it got
// for them. storage.ErrNotFound: there is nothing to take back.
func (p *Provider) RevokeConsent(ctx context.Context, userID, clientID string, r storage.Request, now time.Time) error {
	return p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.RevokeConsent(ctx, userID, clientID, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventConsentRevoked, ActorID: userID, SubjectID: userID, ClientID: clientID,
		}, storage.Private{}, r, now)
	})
}
