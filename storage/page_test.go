package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Every list that is sorted by name is read page by page in both directions, with
// nothing twice and nothing left out, also where names are the same.
func TestPagesByName(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for i := range 7 {
				c := newClient(fmt.Sprintf("c%d", i))
				c.Name, c.Type = "Shop", "web"
				u := &User{ID: fmt.Sprintf("usr_%d", i), Email: fmt.Sprintf("u%d@globex.test", i), Name: "Same"}
				o := &Organization{ID: fmt.Sprintf("org_%d", i), Name: fmt.Sprintf("Org 100%% %d", i)}
				if err := tx.CreateClient(ctx, c, t0); err != nil {
					return err
				}
				if err := tx.CreateUser(ctx, u, t0); err != nil {
					return err
				}
				if err := tx.CreateOrganization(ctx, o, t0); err != nil {
					return err
				}
				if err := tx.AddMember(ctx, "org_0", u.ID, map[bool]string{true: "support"}[i == 3], t0); err != nil {
					return err
				}
			}
			return nil
		})
		ctx := t.Context()
		type row struct{ name, id string }
		lists := map[string]func(at *NamePlace) ([]row, bool, error){
			"clients": func(at *NamePlace) (rows []row, more bool, err error) {
				found, more, err := s.SearchClients(ctx, ClientSearch{Text: "SHOP", Type: "web", Status: ClientActive, At: at, Limit: 3})
				for _, c := range found {
					rows = append(rows, row{c.Name, c.ID})
				}
				return rows, more, err
			},
			"organizations": func(at *NamePlace) (rows []row, more bool, err error) {
				found, more, err := s.SearchOrganizations(ctx, OrganizationSearch{Text: "100%", At: at, Limit: 3})
				for _, o := range found {
					if want := map[bool]int64{true: 7}[o.ID == "org_0"]; o.Members != want {
						t.Errorf("%s: %d members, want %d", o.ID, o.Members, want)
					}
					rows = append(rows, row{o.Name, o.ID})
				}
				return rows, more, err
			},
			"members": func(at *NamePlace) (rows []row, more bool, err error) {
				found, more, err := s.SearchMembers(ctx, MemberSearch{Organization: "org_0", Text: "globex", At: at, Limit: 3})
				for _, m := range found {
					if (m.Role == "support") != (m.ID == "usr_3") || m.Email == "" {
						t.Errorf("member: got %+v", m)
					}
					rows = append(rows, row{m.Name, m.ID})
				}
				return rows, more, err
			},
		}
		for name, page := range lists {
			var pages [][]row
			var at *NamePlace
			for more := true; more; {
				var rows []row
				var err error
				if rows, more, err = page(at); err != nil || len(rows) == 0 {
					t.Fatalf("%s: %v, %v", name, rows, err)
				}
				pages = append(pages, rows)
				last := rows[len(rows)-1]
				at = &NamePlace{Name: last.name, ID: last.id}
			}
			all := slices.Concat(pages...)
			sorted := slices.SortedFunc(slices.Values(all), func(a, b row) int { return strings.Compare(a.name+"\x00"+a.id, b.name+"\x00"+b.id) })
			if len(all) != 7 || len(pages) != 3 || !slices.Equal(all, sorted) || len(slices.Compact(sorted)) != 7 {
				t.Errorf("%s: got %v", name, pages)
			}
			first := pages[2][0]
			back, more, err := page(&NamePlace{Name: first.name, ID: first.id, Before: true})
			if err != nil || !more || !slices.Equal(back, pages[1]) {
				t.Errorf("%s: before the third page: got %v, %t, %v, want %v", name, back, more, err, pages[1])
			}
			back, more, err = page(&NamePlace{Name: back[0].name, ID: back[0].id, Before: true})
			if err != nil || more || !slices.Equal(back, pages[0]) {
				t.Errorf("%s: before the second page: got %v, %t, %v, want %v", name, back, more, err, pages[0])
			}
		}
		if found, _, err := s.SearchOrganizations(ctx, OrganizationSearch{Among: []string{"org_2"}, Limit: 3}); err != nil || len(found) != 1 {
			t.Errorf("among one: got %v, %v", found, err)
		}
		if found, _, err := s.SearchOrganizations(ctx, OrganizationSearch{Among: []string{}, Limit: 3}); err != nil || len(found) != 0 {
			t.Errorf("among none: got %v, %v", found, err)
		}
		if found, _, err := s.SearchClients(ctx, ClientSearch{Text: "c3", Limit: 3}); err != nil || len(found) != 1 {
			t.Errorf("by id: got %v, %v", found, err)
		}

		change := func(fn func(tx *Tx) error) error { return s.Write(ctx, fn) }
		wantErr(t, "rename", change(func(tx *Tx) error { return tx.RenameOrganization(ctx, "org_1", "Hooli") }), nil)
		wantErr(t, "name taken", change(func(tx *Tx) error { return tx.RenameOrganization(ctx, "org_2", "Hooli") }), ErrExists)
		wantErr(t, "nobody's name", change(func(tx *Tx) error { return tx.RenameOrganization(ctx, "org_x", "X") }), ErrNotFound)
		wantErr(t, "remove", change(func(tx *Tx) error { return tx.RemoveMember(ctx, "org_0", "usr_3") }), nil)
		wantErr(t, "remove again", change(func(tx *Tx) error { return tx.RemoveMember(ctx, "org_0", "usr_3") }), ErrNotFound)
		if st, err := s.Standing(ctx, "usr_3"); err != nil || len(st.Within) != 0 {
			t.Errorf("after the removal: got %v, %v", st, err)
		}
	})
}

// A page costs the same however many others there are: an index gives it in order.
func TestPagesByIndex(t *testing.T) {
	var last string
	s := openStore(t, Options{DSN: template.SQLite(t, t.TempDir()+"/u.db"), Trace: func(statement string) { last = statement }})
	at := &Mark{Time: At(t0), ID: "x"}
	tickets := func(q TicketSearch) func() error {
		return func() error {
			_, _, err := s.Tickets(t.Context(), q, t0)
			return err
		}
	}
	impersonations := func(q ImpersonationPage) func() error {
		return func() error {
			_, _, err := s.ImpersonationPage(t.Context(), q, t0)
			return err
		}
	}
	keys := func(q APIKeySearch) func() error {
		return func() error {
			_, _, err := s.APIKeys(t.Context(), q)
			return err
		}
	}
	deliveries := func(q DeliverySearch) func() error {
		return func() error {
			_, err := s.Deliveries(t.Context(), q)
			return err
		}
	}
	ends := func(f ImpersonationFilter) func() error {
		return func() error {
			return s.Write(t.Context(), func(tx *Tx) error { return tx.EndImpersonations(t.Context(), f, Cause{}, t0) })
		}
	}
	expire := func() error {
		return s.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.ExpireImpersonations(t.Context(), t0)
			return err
		})
	}
	for index, reads := range map[string][]func() error{
		"tickets_created":        {tickets(TicketSearch{}), tickets(TicketSearch{At: at})},
		"tickets_open":           {tickets(TicketSearch{Status: TicketPending}), tickets(TicketSearch{Status: TicketExpired, At: at})},
		"tickets_accepted":       {tickets(TicketSearch{Status: TicketAccepted, At: at})},
		"tickets_revoked":        {tickets(TicketSearch{Status: TicketRevoked, At: at})},
		"tickets_actor":          {tickets(TicketSearch{Actor: "u", At: at})},
		"tickets_subject":        {tickets(TicketSearch{Subject: "u", At: at})},
		"tickets_client":         {tickets(TicketSearch{Client: "app", At: at})},
		"tickets_organization":   {tickets(TicketSearch{Organization: "org"}), tickets(TicketSearch{Organization: "org", Status: TicketPending, At: at})},
		"impersonations_started": {impersonations(ImpersonationPage{At: at}), impersonations(ImpersonationPage{Over: true, At: at})},
		"impersonations_open": {
			impersonations(ImpersonationPage{Running: true, At: at}), expire, ends(ImpersonationFilter{}),
			ends(ImpersonationFilter{Subject: "u"}), ends(ImpersonationFilter{Party: "u"}), ends(ImpersonationFilter{Client: "app"}),
			ends(ImpersonationFilter{Organizations: []string{"org"}}),
		},
		"impersonations_login":        {ends(ImpersonationFilter{LoginSID: "sid"})},
		"impersonations_actor":        {impersonations(ImpersonationPage{Actor: "u", At: at})},
		"impersonations_subject":      {impersonations(ImpersonationPage{Subject: "u", At: at})},
		"impersonations_client":       {impersonations(ImpersonationPage{Client: "app", At: at})},
		"impersonations_organization": {impersonations(ImpersonationPage{Organization: "org", At: at})},
		"api_keys_created":            {keys(APIKeySearch{At: at})},
		"api_keys_organization":       {keys(APIKeySearch{Organization: "org", At: at})},
		"webhook_deliveries_created":  {deliveries(DeliverySearch{WebhookID: "wh", Before: *at})},
		"webhook_deliveries_status":   {deliveries(DeliverySearch{WebhookID: "wh", Status: DeliveryFailed, Before: *at})},
	} {
		for _, read := range reads {
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if plan := strings.Join(planOf(t, s, last), "; "); !strings.Contains(plan+" ", " INDEX "+index+" ") {
				t.Errorf("%s: %s, of %s", index, plan, last)
			} else if index == "impersonations_actor" && strings.Contains(plan, "UNION") {
				t.Errorf("%s: looks through all of the actor's for those that have not ended: %s", index, plan)
			}
		}
	}
}
