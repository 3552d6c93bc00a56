package provider

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// UpdateUser stores what is said about a user, e-mail address included, and whether
// they are protected. Of u nothing else is looked at. The event names what changed, and
// says nothing of what it holds. storage.ErrExists: the address is somebody else's. Whose
// right ends at an organization vouches for no address, and unprotects nobody.
func (d *Directory) UpdateUser(ctx context.Context, u *storage.User, by storage.Cause, now time.Time) error {
	if err := ValidateUser(u); err != nil {
		return err
	}
	data := storage.Data{}
	return d.change(ctx, u.ID, storage.EventUserUpdated, data, by, now, func(tx *storage.Tx, before *storage.User) (bool, error) {
		if vouches(before, u) || before.NeverImpersonate && !u.NeverImpersonate {
			if err := d.everywhere(ctx, tx); err != nil {
				return false, err
			}
		}
		claims := changedClaims(before, u)
		if len(claims) > 0 {
			data["claims"] = claims
			if before.EmailVerified != u.EmailVerified {
				data["email_verified"] = u.EmailVerified
			}
			if err := tx.UpdateUser(ctx, u, now); err != nil {
				return false, fmt.Errorf("user %q: %w", u.ID, err)
			}
		}
		if before.NeverImpersonate == u.NeverImpersonate {
			return len(claims) > 0, nil
		}
		data["never_impersonate"] = u.NeverImpersonate
		return true, tx.SetNeverImpersonate(ctx, u.ID, u.NeverImpersonate, by, now)
	})
}

// vouches reports whether a change says of an address or a number that it is the user's.
func vouches(before, u *storage.User) bool {
	return u.EmailVerified && !(before.EmailVerified && before.Email == u.Email) ||
		u.PhoneNumberVerified && !(before.PhoneNumberVerified && before.PhoneNumber == u.PhoneNumber)
}

// everywhere asks whether whoever changes may change users everywhere.
func (d *Directory) everywhere(ctx context.Context, tx *storage.Tx) error {
	if d.standing == nil {
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err == nil && !mine.May(PermissionUsersWrite, "") {
		err = ErrMayNotChange
	}
	return err
}

// SetSupportAccess says in a user's place what they allow staff, for programs that ask
// users elsewhere: see impersonation.Service.SetSupportAccessFor. It needs what changing
// the user needs.
func (d *Directory) SetSupportAccess(
	ctx context.Context, s *impersonation.Service, userID string, choice impersonation.SupportChoice, by storage.Cause, now time.Time,
) error {
	check := func(tx *storage.Tx) error {
		if _, err := existing(ctx, tx, userID); err != nil {
			return err
		}
		return d.checkReach(ctx, tx, userID)
	}
	return s.SetSupportAccessFor(ctx, userID, choice, check, by, now)
}

// changedClaims names the claims in which two users differ.
func changedClaims(a, b *storage.User) []string {
	var changed []string
	had, has := claimTexts(a), claimTexts(b)
	for i, claim := range had {
		if *claim.value != *has[i].value {
			changed = append(changed, claim.name)
		}
	}
	for name, differs := range map[string]bool{
		"email_verified": a.EmailVerified != b.EmailVerified, "phone_number_verified": a.PhoneNumberVerified != b.PhoneNumberVerified,
		"address": a.Address != b.Address,
	} {
		if differs {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// Delete ends everything that a user has open and forgets what is personal. Nobody
// gets their id again (SECURITY D13).
func (d *Directory) Delete(ctx context.Context, userID string, by storage.Cause, now time.Time) error {
	return d.change(ctx, userID, storage.EventUserDeleted, nil, by, now, func(tx *storage.Tx, _ *storage.User) (bool, error) {
		return true, tx.DeleteUser(ctx, userID, by, now)
	})
}

// EndSignIn ends one sign-in of a user, with what runs over it. storage.ErrNotFound:
// they have no such sign-in, or it has ended.
func (d *Directory) EndSignIn(ctx context.Context, userID, sid string, by storage.Cause, now time.Time) error {
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := d.checkReach(ctx, tx, userID); err != nil {
			return err
		}
		return endSignIn(ctx, tx, userID, sid, by, now)
	})
}

// EndSignIns ends all sign-ins of a user, what they do as others over none, and what they
// asked for and did not start.
func (d *Directory) EndSignIns(ctx context.Context, userID string, by storage.Cause, now time.Time) error {
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := d.checkReach(ctx, tx, userID); err != nil {
			return err
		}
		live, err := tx.OpenLogins(ctx, userID, now)
		if err != nil {
			return fmt.Errorf("load sign-ins: %w", err)
		}
		for _, l := range live {
			if err := endSignIn(ctx, tx, userID, l.SID, by, now); err != nil && !isNotFound(err) { // it has ended by itself
				return err
			}
		}
		return tx.EndWithoutLogin(ctx, userID, "", by, now)
	})
}

func endSignIn(ctx context.Context, tx *storage.Tx, userID, sid string, by storage.Cause, now time.Time) error {
	if err := tx.EndLoginOf(ctx, userID, sid, by, now); err != nil {
		return err
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventSessionRevoked, ActorID: by.By, SubjectID: userID, Data: storage.Data{"sid": sid},
	}, storage.Private{}, by.Request, now)
}

// RevokeApplication takes back what a user allows an application, and ends what it got
// for them. storage.ErrNotFound: there is nothing to take back.
func (d *Directory) RevokeApplication(ctx context.Context, userID, clientID string, by storage.Cause, now time.Time) error {
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := d.checkReach(ctx, tx, userID); err != nil {
			return err
		}
		if err := tx.RevokeConsent(ctx, userID, clientID, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventConsentRevoked, ActorID: by.By, SubjectID: userID, ClientID: clientID,
		}, storage.Private{}, by.Request, now)
	})
}
