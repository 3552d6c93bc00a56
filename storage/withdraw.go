package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// withdrawStarts takes back what waits to be started by an actor or, with a Party of the
// filter, about a subject: tickets that nobody redeemed, and approvals that were asked for
// or given, and not used. Tickets of the sign-in with the sid keep stay. Each is on the
// record.
func (tx *Tx) withdrawStarts(ctx context.Context, f ImpersonationFilter, keep string, by Cause, now time.Time) error {
	var tickets []Ticket
	err := returned(f.scope(tx.conn(ctx)).Where("redeemed_at = 0 AND revoked_at = 0 AND expires_at > ? AND created_at > ? AND (login_sid = '' OR login_sid <> ?)",
		At(now), At(now.Add(-longestPending)), keep), &tickets, map[string]any{"revoked_at": At(now), "updated_at": At(now)})
	if err != nil {
		return err
	}
	for _, t := range tickets {
		err := tx.Record(ctx, Event{
			Type: EventImpersonationRevoked, ActorID: by.By, SubjectID: t.SubjectID, ClientID: t.ClientID, OrganizationID: t.OrganizationID,
			Data: Data{"ticket": t.ID, "for": t.ActorID},
		}, Private{}, by.Request, now)
		if err != nil {
			return err
		}
	}
	var approvals []Approval
	err = returned(f.scope(tx.conn(ctx)).Where("status IN ('pending', 'approved') AND expires_at > ?", At(now)), &approvals,
		map[string]any{"status": ApprovalWithdrawn, "decided_at": At(now)})
	if err != nil {
		return err
	}
	for _, a := range approvals {
		data := Data{"approval": a.ID}
		if by.By != a.ActorID {
			data["requested_for"] = a.ActorID
		}
		err := tx.Record(ctx, Event{
			Type: EventImpersonationWithdrawn, ActorID: by.By, SubjectID: a.SubjectID, ClientID: a.ClientID, OrganizationID: a.OrganizationID, Data: data,
		}, Private{}, by.Request, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// returned changes the rows that db selects, and returns them as they are then.
func returned[Row any](db *gorm.DB, rows *[]Row, changes map[string]any) error {
	return translate(db.Model(rows).Clauses(clause.Returning{}).UpdateColumns(changes).Error)
}
