package handlers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
)

// B09: what a refresh token is worth is in the database, and a clock that jumps
// makes it worth nothing more.
func TestRefreshAcrossRestarts(t *testing.T) {
	t.Parallel()
	const leeway = time.Minute
	options := func(leeway time.Duration, dsn string) idptest.Options {
		return idptest.Options{DSN: dsn, Provider: provider.Config{RefreshReuseLeeway: leeway}}
	}
	for name, dsn := range databases {
		t.Run("B09 a restart, "+name, func(t *testing.T) {
			for _, c := range []time.Duration{0, leeway} {
				idp := idptest.New(t, options(c, dsn(t)))
				first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
				idle := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
				second := str(t, refresh(idp, first).JSON(t), "refresh_token")
				after := idp.Again(t)
				wantStatus(t, "one that was not used", refresh(after, idle), http.StatusOK)
				if c == leeway {
					if got := str(t, refresh(after, first).JSON(t), "refresh_token"); got != second {
						t.Errorf("a retry got %s, want %s", got, second)
					}
					wantStatus(t, "the successor", refresh(after, second), http.StatusOK)
					wantRefused(t, "a retry after that", refresh(after, first), http.StatusBadRequest, "invalid_grant")
					continue
				}
				wantRefused(t, "one that was spent before", refresh(after, first), http.StatusBadRequest, "invalid_grant")
				wantActive(t, idp, "its successor", second, false)
				wantRefused(t, "its successor, at the first server", refresh(idp, second), http.StatusBadRequest, "invalid_grant")
			}
		})
		t.Run("B09 two servers, "+name, func(t *testing.T) {
			one := idptest.New(t, options(0, dsn(t)))
			servers := []*idptest.IDP{one, one.Again(t)}
			token := str(t, loggedIn(t, one, "ada", offline...), "refresh_token")
			got := parallel(40, func(i int) *idptest.Response {
				for { // SQLite waits no longer than a second for another process
					if w := refresh(servers[i%2], token); w.Status != http.StatusServiceUnavailable {
						return w
					}
				}
			})
			if got["200"] != 1 || got[refusedGrant] != 39 {
				t.Errorf("got %v", got)
			}
		})
		t.Run("B09 the clock is set back, "+name, func(t *testing.T) {
			for _, c := range []time.Duration{0, leeway} {
				idp := idptest.New(t, options(c, dsn(t)))
				first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
				second := str(t, refresh(idp, first).JSON(t), "refresh_token")
				// What is written now was written in an hour, as this clock has it.
				_, err := database(t, idp).Exec(`UPDATE tokens SET used_at = used_at + 3600000000, created_at = created_at + 3600000000 WHERE used_at > 0`)
				check(t, err)
				wantRefused(t, "one that was spent", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
				wantActive(t, idp, "its successor", second, false)
			}
		})
	}
	t.Run("B09 the clock jumps ahead", func(t *testing.T) {
		clocked(t, options(leeway, ""), func(t *testing.T, idp *idptest.IDP) {
			first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
			second := str(t, refresh(idp, first).JSON(t), "refresh_token")
			time.Sleep(time.Hour)
			third := str(t, refresh(idp, second).JSON(t), "refresh_token")
			wantRefused(t, "one that was spent an hour ago", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "the last", third, false)
		})
	})
}
