package storage

import (
	"context"
	"slices"
)

// Names are what ids are called now. What is gone has none, but for organizations, which
// are no people: they go by what they were called last.
type Names struct{ Users, Clients, Organizations map[string]string }

// User returns what a user is called, or the id.
func (n Names) User(id string) string { return named(n.Users, id) }

// Client returns what a client is called, or the id.
func (n Names) Client(id string) string { return named(n.Clients, id) }

// Organization returns what an organization is called, or the id.
func (n Names) Organization(id string) string { return named(n.Organizations, id) }

func named(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return name
	}
	return id
}

// NamesOf returns what users, clients and organizations are called, in one statement. An
// API key among the users has its own name: it does what a user does.
func (q Queries) NamesOf(ctx context.Context, users, clients, organizations []string) (Names, error) {
	n := Names{map[string]string{}, map[string]string{}, map[string]string{}}
	var found []struct{ Kind, ID, Name string }
	err := q.conn(ctx).Raw(`
		SELECT 'user' AS kind, id, CASE WHEN name <> '' THEN name WHEN email <> '' THEN email ELSE id END AS name FROM users WHERE id IN ?
		UNION ALL SELECT 'user', id, name FROM api_keys WHERE id IN ?
		UNION ALL SELECT 'client', id, name FROM clients WHERE id IN ?
		UNION ALL SELECT 'organization', id, name FROM organizations WHERE id IN ?
		UNION ALL SELECT 'organization', id, name FROM deleted_organizations WHERE id IN ?`,
		distinct(users), distinct(users), distinct(clients), distinct(organizations), distinct(organizations)).Scan(&found).Error
	of := map[string]map[string]string{"user": n.Users, "client": n.Clients, "organization": n.Organizations}
	for _, f := range found {
		of[f.Kind][f.ID] = f.Name
	}
	return n, translate(err)
}

// distinct returns each id once.
func distinct(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
