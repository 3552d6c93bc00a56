package provider

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// prefixSetup is what the token of a setup link begins with (SECURITY A24).
const prefixSetup = "usl_"

// roleAdmin is the built-in role that holds every permission.
const roleAdmin = "admin"

// ErrSetupLink says that a setup link was used, has expired or was never made: which
// of these is nobody's business.
var ErrSetupLink = errors.New("this setup link is not valid")

// CreateSetupLink returns a token with which one person can make themselves an
// administrator. Only its hash is kept. Links made earlier end: one that was forgotten
// somewhere is not an open door.
func (d *Directory) CreateSetupLink(ctx context.Context, lifetime time.Duration, by storage.Cause, now time.Time) (string, error) {
	token := NewSecret(prefixSetup)
	expires := storage.At(now.Add(lifetime))
	return token, d.store.Write(ctx, func(tx *storage.Tx) error {
		if _, err := endSetupLinks(ctx, tx, by, now); err != nil {
			return err
		}
		err := tx.CreateSetupLink(ctx, &storage.SetupLink{TokenHash: storage.Hash(token), CreatedAt: storage.At(now), ExpiresAt: expires})
		if err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventSetupLinkCreated, ActorID: by.By, Data: storage.Data{"expires_at": int64(expires)},
		}, storage.Private{}, by.Request, now)
	})
}

// RevokeSetupLinks ends all setup links that could still be used, and says how many.
func (d *Directory) RevokeSetupLinks(ctx context.Context, by storage.Cause, now time.Time) (int64, error) {
	var n int64
	err := d.store.Write(ctx, func(tx *storage.Tx) (err error) {
		n, err = endSetupLinks(ctx, tx, by, now)
		return err
	})
	return n, err
}

// endSetupLinks records that links were ended, where there were any.
func endSetupLinks(ctx context.Context, tx *storage.Tx, by storage.Cause, now time.Time) (int64, error) {
	n, err := tx.EndSetupLinks(ctx, now)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, tx.Record(ctx, storage.Event{
		Type: storage.EventSetupLinkRevoked, ActorID: by.By, Data: storage.Data{"links": n},
	}, storage.Private{}, by.Request, now)
}

// CheckSetupLink returns ErrSetupLink unless the link can be used.
func (d *Directory) CheckSetupLink(ctx context.Context, token string, now time.Time) error {
	if !strings.HasPrefix(token, prefixSetup) {
		return ErrSetupLink
	}
	return setupLink(d.store.SetupLinkStands(ctx, storage.Hash(token), now))
}

func setupLink(err error) error {
	if errors.Is(err, storage.ErrSpent) {
		return errors.Join(ErrSetupLink, err)
	}
	return err
}

// Administrator is what somebody who has a setup link says about themselves.
type Administrator struct{ Name, Email, Password string }

// Problems says what is wrong with it, in words for the person, by field: name,
// email, password.
func (a Administrator) Problems() map[string]string {
	problems := map[string]string{}
	switch {
	case a.Name == "":
		problems["name"] = "Type your name."
	case checkClaim("name", a.Name) != nil:
		problems["name"] = "A name is one line of at most 300 characters."
	}
	if checkEmail(a.Email) != nil {
		problems["email"] = "Type an e-mail address like ada@example.com."
	}
	if checkPassword(a.Password) != nil {
		problems["password"] = "A password has 8 to 1024 characters."
	}
	return problems
}

// SetUp makes an administrator and spends the setup link, both or neither.
// ErrSetupLink: the link cannot be used. storage.ErrExists: somebody has the
// e-mail address, and the link can still be used.
func (d *Directory) SetUp(ctx context.Context, token string, a Administrator, r storage.Request, now time.Time) (*storage.User, error) {
	if err := d.CheckSetupLink(ctx, token, now); err != nil { // before a password is hashed for a stranger
		return nil, err
	}
	u := &storage.User{ID: storage.NewID("usr"), Name: a.Name, Email: a.Email}
	if err := d.newPassword(u, a.Password, now); err != nil {
		return nil, err
	}
	by := storage.Cause{By: u.ID, Request: r}
	err := d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := setupLink(tx.UseSetupLink(ctx, storage.Hash(token), now)); err != nil {
			return err
		}
		err := tx.Record(ctx, storage.Event{
			Type: storage.EventSetupLinkUsed, ActorID: u.ID, SubjectID: u.ID,
		}, storage.Private{}, r, now)
		if err != nil {
			return err
		}
		return createUser(ctx, tx, u, []string{roleAdmin}, nil, by, now)
	})
	return u, err
}
