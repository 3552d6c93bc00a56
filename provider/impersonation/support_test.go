package impersonation

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/storage"
)

func TestSupportChoice(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	limits := Limits{TicketRefPattern: regexp.MustCompile(`^SUP-[0-9]+$`)}
	for name, c := range map[string]struct {
		change func(*SupportChoice)
		want   SupportProblem
	}{
		"allowed":                     {func(*SupportChoice) {}, ""},
		"an hour":                     {func(c *SupportChoice) { c.For = time.Hour }, ""},
		"a week":                      {func(c *SupportChoice) { c.For = 7 * 24 * time.Hour }, ""},
		"without a ticket":            {func(c *SupportChoice) { c.Mode, c.TicketRef = storage.SupportUntil, "" }, ""},
		"denied, whatever the rest":   {func(c *SupportChoice) { c.Mode, c.TicketRef, c.For = storage.SupportDenied, "\x00", -1 }, ""},
		"no mode":                     {func(c *SupportChoice) { c.Mode = "" }, ProblemMode},
		"another mode":                {func(c *SupportChoice) { c.Mode = "always" }, ProblemMode},
		"less than an hour":           {func(c *SupportChoice) { c.For = time.Hour - 1 }, ProblemHours},
		"no time":                     {func(c *SupportChoice) { c.For = 0 }, ProblemHours},
		"more than a week":            {func(c *SupportChoice) { c.For = 7*24*time.Hour + 1 }, ProblemHours},
		"no reference":                {func(c *SupportChoice) { c.TicketRef = "" }, ProblemTicketRef},
		"a reference of another desk": {func(c *SupportChoice) { c.TicketRef = "JIRA-1" }, ProblemTicketRef},
		"a long reference":            {func(c *SupportChoice) { c.TicketRef = "SUP-" + strings.Repeat("1", 100) }, ProblemTicketRef},
	} {
		choice := SupportChoice{Mode: storage.SupportTicket, TicketRef: "SUP-1", For: 24 * time.Hour}
		c.change(&choice)
		a, err := choice.access("usr_ada", limits, now)
		var problem SupportProblem
		errors.As(err, &problem)
		if problem != c.want || (err == nil) != (a != nil) {
			t.Errorf("%s: got %v, %v, want %q", name, a, err, c.want)
		}
		if a == nil {
			continue
		}
		if (a.Mode == storage.SupportDenied) == a.ExpiresAt.Set() || (a.Mode == storage.SupportTicket) == (a.TicketRef == "") {
			t.Errorf("%s: the schema refuses %+v", name, a)
		}
	}
}

// To approve allows what was asked for and no more.
func TestApproval(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	in := func(d time.Duration) storage.Time { return storage.At(now.Add(d)) }
	access := func(mode storage.SupportMode, ref string, d time.Duration) *storage.SupportAccess {
		return &storage.SupportAccess{UserID: "usr_ada", Mode: mode, TicketRef: ref, ExpiresAt: in(d), UpdatedAt: in(0)}
	}
	denied := &storage.SupportAccess{UserID: "usr_ada", Mode: storage.SupportDenied}
	const until, ticket, day, week = storage.SupportUntil, storage.SupportTicket, 24 * time.Hour, 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		said *storage.SupportAccess
		ref  string
		want *storage.SupportAccess
	}{
		"nothing was said":                   {nil, "", access(until, "", day)},
		"nothing was said, for a ticket":     {nil, "SUP-1", access(ticket, "SUP-1", day)},
		"it was forbidden":                   {denied, "SUP-1", access(ticket, "SUP-1", day)},
		"what was said has passed":           {access(until, "", -time.Hour), "SUP-1", access(ticket, "SUP-1", day)},
		"allowed for longer":                 {access(until, "", week), "", nil},
		"allowed for longer, for any ticket": {access(until, "", week), "SUP-1", nil},
		"allowed for less":                   {access(until, "", time.Hour), "", access(until, "", day)},
		"allowed for less, for any ticket":   {access(until, "", time.Hour), "SUP-1", nil},
		"this ticket for longer":             {access(ticket, "SUP-1", week), "SUP-1", nil},
		"this ticket for less":               {access(ticket, "SUP-1", time.Hour), "SUP-1", access(ticket, "SUP-1", day)},
		"a ticket, and now any":              {access(ticket, "SUP-1", week), "", access(until, "", day)},
		"another ticket":                     {access(ticket, "SUP-2", week), "SUP-1", access(ticket, "SUP-1", day)},
	} {
		got := approval(c.said, &storage.SupportRequest{UserID: "usr_ada", TicketRef: c.ref}, now)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// What staff may not start they may not ask for; the permission itself, the access and
// the duration are no part of the question.
func TestMayAsk(t *testing.T) {
	settledLater := []Denial{DenyAccess, DenyDuration, DenyStepUp, DenyRate, DenyConcurrent, DenySupportAccess, DenyOrganization, DenyOrganizationNeeds}
	for _, r := range policy {
		if slices.Contains(settledLater, r.want) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			var got Denial
			errors.As(MayAsk(r.attempt()), &got)
			if got != r.want {
				t.Errorf("got %q, want %q", got, r.want)
			}
		})
	}
	anywhere := allowed()
	anywhere.Client = &storage.Client{}
	if err := MayAsk(anywhere); err != nil {
		t.Errorf("at any client: %v", err)
	}
}
