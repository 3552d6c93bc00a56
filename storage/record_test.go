package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
)

// history records n events at t0 and every second after, several at a time: by two
// actors in turn, about one subject, every fifth a denial.
func history(t *testing.T, s *Store, n int) []Event {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for i := range n {
			e := Event{Type: EventImpersonationStarted, ActorID: fmt.Sprintf("usr_%d", i%2), SubjectID: "usr_s", ClientID: "app", ImpersonationID: fmt.Sprintf("imp_%d", i)}
			if i%5 == 0 {
				e.Type, e.ImpersonationID = EventImpersonationDenied, ""
			}
			if err := tx.Record(ctx, e, Private{}, Request{}, t0.Add(time.Duration(i/3)*time.Second)); err != nil {
				return err
			}
		}
		return nil
	})
	var all []Event
	if err := s.conn(t.Context()).Order("time DESC, id DESC").Find(&all).Error; err != nil {
		t.Fatal(err)
	}
	return all
}

// Each condition selects what it says, and pages through it meet every event once.
func TestSearchEvents(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		history(t, s, 30)
		sequence(t, s)
		all := history(t, s, 12) // in between, and without their places yet
		for _, test := range []struct {
			name   string
			search EventSearch
			want   func(Event) bool
		}{
			{"everything", EventSearch{}, func(Event) bool { return true }},
			{"type", EventSearch{Type: EventImpersonationDenied}, func(e Event) bool { return e.Type == EventImpersonationDenied }},
			{"not type", EventSearch{NotType: EventImpersonationDenied}, func(e Event) bool { return e.Type != EventImpersonationDenied }},
			{"actor", EventSearch{ActorID: "usr_1"}, func(e Event) bool { return e.ActorID == "usr_1" }},
			{"nobody", EventSearch{ActorID: "usr_9"}, func(Event) bool { return false }},
			{"subject and client", EventSearch{SubjectID: "usr_s", ClientID: "app"}, func(Event) bool { return true }},
			{"impersonation", EventSearch{ImpersonationID: "imp_7"}, func(e Event) bool { return e.ImpersonationID == "imp_7" }},
			{"from", EventSearch{From: At(t0.Add(4 * time.Second))}, func(e Event) bool { return e.Time >= At(t0.Add(4*time.Second)) }},
			{"to", EventSearch{To: At(t0.Add(4 * time.Second))}, func(e Event) bool { return e.Time < At(t0.Add(4*time.Second)) }},
		} {
			want := []string{}
			for _, e := range all {
				if test.want(e) {
					want = append(want, e.ID)
				}
			}
			page := test.search
			page.Limit = 7
			got := []string{}
			for {
				events, err := s.SearchEvents(t.Context(), page)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					got = append(got, e.ID)
				}
				if len(events) < page.Limit {
					break
				}
				last := events[len(events)-1]
				page.Before = Mark{last.Time, last.ID}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %d events, want %d: %q", test.name, len(got), len(want), got)
			}
			if len(want) == 0 {
				continue
			}
			forth := test.search
			forth.After, forth.Limit = Mark{Time: 1}, 1000
			events, err := s.SearchEvents(t.Context(), forth)
			if err != nil || len(events) != len(want) || events[0].ID != want[len(want)-1] {
				t.Errorf("%s, forwards: got %d events, %v", test.name, len(events), err)
			}
		}
		covered, err := s.SearchEvents(t.Context(), EventSearch{Covered: 10})
		if err != nil || len(covered) != 10 {
			t.Errorf("covered: got %d, %v", len(covered), err)
		}
	})
}

// A page costs the same however long the record is: an index gives it in order.
func TestSearchEventsByIndex(t *testing.T) {
	s := newStore(t, SQLite)
	before := Mark{At(t0), "evt_x"}
	for index, searches := range map[string][]EventSearch{
		"events_time":    {{}, {Before: before}, {After: before}, {From: At(t0), To: At(t0.Add(time.Hour))}, {NotType: "x.y"}},
		"events_type":    {{Type: "x.y"}, {Type: "x.y", Before: before}, {Type: "x.y", From: At(t0)}},
		"events_actor":   {{ActorID: "u"}, {ActorID: "u", Before: before}, {ActorID: "u", After: before}},
		"events_subject": {{SubjectID: "u", Before: before, To: At(t0)}},
		"events_client":  {{ClientID: "app", Before: before}},
	} {
		for _, search := range searches {
			statement := s.db.ToSQL(func(db *gorm.DB) *gorm.DB {
				return search.scope(db.Where(placed)).Order(search.order()).Limit(9).Find(&[]Event{})
			})
			plan := strings.Join(planOf(t, s, statement), "; ")
			if !strings.Contains(plan+" ", " INDEX "+index+" ") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%+v: %s", search, plan)
			}
		}
	}
}

// So does the session of each impersonation of a page.
func TestSessionsBegunByIndex(t *testing.T) {
	s := newStore(t, SQLite)
	statement := s.db.ToSQL(func(db *gorm.DB) *gorm.DB {
		return begun([]string{"imp_1", "imp_2"})(db.Where(placed)).Order("impersonation_id").Limit(2).Find(&[]Event{})
	})
	if plan := strings.Join(planOf(t, s, statement), "; "); !strings.Contains(plan+" ", " INDEX events_impersonation ") {
		t.Error(plan)
	}
}

func planOf(t *testing.T, s *Store, statement string) []string {
	t.Helper()
	var steps []struct{ Detail string }
	if err := s.conn(t.Context()).Raw("EXPLAIN QUERY PLAN " + statement).Scan(&steps).Error; err != nil {
		t.Fatal(err)
	}
	var plan []string
	for _, step := range steps {
		plan = append(plan, step.Detail)
	}
	return plan
}

func TestNamesIn(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for _, u := range []*User{{ID: "one", Name: "Ada", Email: "ada@x.test"}, {ID: "two", Email: "two@x.test"}} {
				if err := tx.CreateUser(ctx, u, t0); err != nil {
					return err
				}
			}
			return tx.CreateOrganization(ctx, &Organization{ID: "one", Name: "One Ltd"}, t0)
		})
		n, err := s.NamesIn(t.Context(), []Event{{ActorID: "one", SubjectID: "two", OrganizationID: "one", ClientID: "one"}, {ActorID: "gone"}, {}})
		if err != nil || n.Users["one"] != "Ada" || n.Users["two"] != "two@x.test" || n.Organizations["one"] != "One Ltd" || len(n.Users) != 2 || len(n.Clients) != 0 {
			t.Errorf("got %+v, %v", n, err)
		}
		if n, err := s.NamesIn(t.Context(), nil); err != nil || len(n.Users) != 0 {
			t.Errorf("of nothing: got %+v, %v", n, err)
		}
	})
}
