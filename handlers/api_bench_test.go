package handlers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
)

// BenchmarkAPILists reads the first and the last page of each list, of few rows and of
// many: the two must cost the same. UNDERSTUDY_BENCH_ROWS sets how many are many.
func BenchmarkAPILists(b *testing.B) {
	many := 100_000
	if n, err := strconv.Atoi(os.Getenv("UNDERSTUDY_BENCH_ROWS")); err == nil {
		many = n
	}
	for _, rows := range []int{1_000, many} {
		idp := idptest.New(b, idptest.Options{Handlers: manyCalls})
		fillLists(b, idp, rows)
		key, local := everyPermission(b, idp), idp.LocalAPIKey(b, "org_globex", "users:read", "impersonation:read")
		for _, list := range []struct{ name, key, path string }{
			{"users", key, "/users?"},
			{"users/name", key, "/users?sort=name&"},
			{"users/latest", key, "/users?sort=-created_at&"},
			{"users/email_prefix", key, "/users?email_prefix=u&"},
			{"users/name_prefix", key, "/users?name_prefix=n&"},
			{"users/email", key, "/users?email=u7%40bench.test&"},
			{"users/organization", local, "/users?"},
			{"members", key, "/organizations/org_globex/members?"},
			{"organizations", key, "/organizations?"},
			{"clients", key, "/clients?"},
			{"api-keys", key, "/api-keys?"},
			{"impersonations", key, "/impersonations?"},
			{"impersonations/running", key, "/impersonations?status=running&"},
			{"impersonations/ended", key, "/impersonations?status=ended&"},
			{"impersonations/actor", key, "/impersonations?actor_id=usr_sam&"},
			{"impersonations/user", key, "/impersonations?user_id=usr_b7&"},
			{"impersonations/client", key, "/impersonations?client_id=app&"},
			{"impersonations/organization", local, "/impersonations?"},
			{"events", key, "/events?"},
		} {
			for page, path := range map[string]string{"first": list.path + "limit=25", "deep": deep(b, idp, list.key, list.path, rows)} {
				if path == "" {
					continue // there is one page
				}
				b.Run(fmt.Sprintf("%s/%s/rows=%d", list.name, page, rows), func(b *testing.B) {
					before := cpu()
					for b.Loop() {
						r := httptest.NewRequest(http.MethodGet, api.Prefix+path, nil)
						r.Header.Set("Authorization", "Bearer "+list.key)
						if w := idp.Do(r); w.Status != http.StatusOK {
							b.Fatal(w.Body)
						}
					}
					b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
				})
			}
		}
	}
}

// deep returns the path of a page far behind the first, empty where there is none.
func deep(b *testing.B, idp *idptest.IDP, key, path string, rows int) string {
	cursor := ""
	for range min(rows, 20_000) / 100 {
		var page struct {
			Next *string `json:"next_cursor"`
		}
		idp.API(b, key, http.MethodGet, path+"limit=100"+cursor, nil).Into(b, &page)
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
	if cursor == "" {
		return ""
	}
	return path + "limit=25" + cursor
}

// fillLists adds rows to each table that is listed.
func fillLists(b *testing.B, idp *idptest.IDP, rows int) {
	db := database(b, idp)
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	for _, statement := range []string{
		`INSERT INTO users (id, email, email_key, name, created_at, updated_at) ` + numbers + `SELECT 'usr_b' || i, 'u' || i || '@bench.test', 'u' || i || '@bench.test', 'Name ' || i, 1700000000000000 + i, 1 FROM n`,
		`INSERT INTO memberships (organization_id, user_id, created_at) ` + numbers + `SELECT 'org_globex', 'usr_b' || i, 1 FROM n`,
		`INSERT INTO organizations (id, name, created_at) ` + numbers + `SELECT 'org_b' || i, 'Organization ' || i, 1 FROM n`,
		`INSERT INTO api_keys (id, secret_hash, name, permissions, created_at) ` + numbers + `SELECT 'key_b' || i, CAST('h' || i AS BLOB), 'Key ' || i, '["users:read"]', i FROM n`,
		`INSERT INTO impersonations (id, actor_id, subject_id, client_id, organization_id, entry, reason, access, started_at, expires_at, ended_at, end_reason) ` +
			numbers + `SELECT 'imp_b' || i, 'usr_sam', 'usr_b' || i, 'app', 'org_globex', 'consent', 'Cannot see invoice 4711', 'full', i, i + 60000000, i + 1, 'stopped' FROM n`,
		`INSERT INTO events (id, position, time, type, actor_id, data) ` + numbers + `SELECT 'evt_b' || i, i + 1000000, i, 'user.updated', 'usr_sam', '{}' FROM n`,
	} {
		if _, err := db.Exec(statement, rows); err != nil {
			b.Fatal(statement, err)
		}
	}
	columns := `name, type, status, secret_hash, token_endpoint_auth_method, redirect_uris, grant_types, response_types, scope, id_token_signed_response_alg, access_token_format, delivery, version, created_at, updated_at`
	_, err := db.Exec(`INSERT INTO clients (id, `+columns+`) `+numbers+`SELECT 'client_b' || i, `+columns+` FROM n JOIN clients c ON c.id = 'app'`, rows)
	if err != nil {
		b.Fatal(err)
	}
}
