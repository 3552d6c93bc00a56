package handlers_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// counter counts the statements that a store sends.
type counter struct {
	mu         sync.Mutex
	statements []string
}

func (c *counter) trace(statement string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements = append(c.statements, statement)
}

// take returns what was counted since it was called last.
func (c *counter) take() (reads, writes int, all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, c.statements = c.statements, nil
	for _, s := range all {
		if strings.HasPrefix(strings.TrimSpace(s), "SELECT") {
			reads++
		} else {
			writes++
		}
	}
	return reads, writes, all
}

// commits counts the commits in a SQLite write-ahead log: frames that say how
// large the database is after them, and belong to the log's last round.
func commits(t *testing.T, file string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(file + "-wal")
	if err != nil || len(wal) < 32 {
		t.Fatalf("%v, %d bytes", err, len(wal))
	}
	frame := 24 + int(binary.BigEndian.Uint32(wal[8:]))
	for at := 32; at+frame <= len(wal); at += frame {
		if string(wal[at+8:at+16]) == string(wal[16:24]) && binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// How many statements each request may cost. What an impersonation costs is what
// it costs now: it decides anew each time, and records.
func TestStatements(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "understudy.db")
	for name, dsn := range map[string]string{"sqlite": "sqlite:" + file, "postgres": idptest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			var c counter
			idp := idptest.New(t, idptest.Options{DSN: dsn, Trace: c.trace, Provider: provider.Config{Impersonation: idptest.Limits()}})
			ada, sam := person(t, idp, "ada"), person(t, idp, "sam")
			measure := func(what string, maxReads, maxWrites, maxAll int, do func() *idptest.Response) *idptest.Response {
				t.Helper()
				before := 0
				if name == "sqlite" {
					before = commits(t, file)
				}
				c.take()
				w := do()
				reads, writes, all := c.take()
				if w.Status >= 400 {
					t.Fatalf("%s: %d %s", what, w.Status, w.Body)
				}
				if reads > maxReads || writes > maxWrites || reads+writes > maxAll {
					t.Errorf("%s: %d reads and %d writes, want at most %d, %d, together %d:\n%s", what, reads, writes, maxReads, maxWrites, maxAll, strings.Join(all, "\n"))
				}
				t.Logf("%s: %d reads, %d writes", what, reads, writes)
				if name != "sqlite" {
					return w
				}
				want := 0
				if writes > 0 {
					want = 1
				}
				if got := commits(t, file) - before; got != want {
					t.Errorf("%s: %d commits, want %d", what, got, want)
				}
				return w
			}
			ada.Code(asking()) // knows the clients from now on
			w := measure("silent authorize", 3, 2, 5, func() *idptest.Response { return ada.Get(asking(offline...)) })
			code := w.Location().Query().Get("code")
			exchanged := measure("code exchange", 2, 2, 4, func() *idptest.Response { return redeem(idp, code) }).JSON(t)
			access := str(t, exchanged, "access_token")
			renewed := measure("refresh", 2, 2, 4, func() *idptest.Response { return refresh(idp, str(t, exchanged, "refresh_token")) }).JSON(t)
			measure("introspection", 2, 0, 2, func() *idptest.Response {
				return idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {access}})
			})
			measure("introspection of a refresh token", 2, 0, 2, func() *idptest.Response {
				return idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {str(t, renewed, "refresh_token")}})
			})
			measure("userinfo", 2, 0, 2, func() *idptest.Response { return userinfo(idp, access) })
			idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}})
			measure("client_credentials", 1, 0, 1, func() *idptest.Response {
				return idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}})
			})
			key := idptest.NewKey(t, "k", "ES256")
			addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
			asKeyed := func(path string, form url.Values) *idptest.Response {
				return idp.Do(idptest.Form(path, key.Assert(t, "keyed", form)))
			}
			asKeyed("/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
			code = ada.Code(asking(append(offline, "client_id", "keyed")...))
			exchanged = measure("code exchange with an assertion", 2, 3, 5, func() *idptest.Response {
				return asKeyed("/oauth2/token", idptest.Exchange(code, nil))
			}).JSON(t)
			measure("refresh with an assertion", 2, 3, 5, func() *idptest.Response {
				return asKeyed("/oauth2/token", refreshing(str(t, exchanged, "refresh_token")))
			})
			measure("client_credentials with an assertion", 1, 1, 2, func() *idptest.Response {
				return asKeyed("/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
			})
			measure("introspection with an assertion", 2, 1, 3, func() *idptest.Response {
				return asKeyed("/oauth2/introspect", url.Values{"token": {access}})
			})
			opaque := publicTokens(t, idp, ada)
			measure("userinfo with an opaque token", 2, 0, 2, func() *idptest.Response { return userinfo(idp, str(t, opaque, "access_token")) })
			measure("refresh of somebody else's application", 2, 2, 4, func() *idptest.Response {
				return idp.Call("/oauth2/token", "", "", refreshing(str(t, opaque, "refresh_token"), "client_id", "public"))
			})
			measure("discovery", 0, 0, 0, func() *idptest.Response { return ada.Get("/.well-known/openid-configuration") })
			measure("key set", 0, 0, 0, func() *idptest.Response { return ada.Get("/.well-known/jwks.json") })

			addClient(t, idp, "told", func(c *storage.Client) { c.BackchannelLogoutURI = "https://told.example/logout" })
			ada.Code(asking("client_id", "told"))
			code = ada.Code(asking("client_id", "told"))
			measure("code exchange of an application that is to be told", 2, 2, 4, func() *idptest.Response {
				return idp.Call("/oauth2/token", "told", idptest.Secret, idptest.Exchange(code, nil))
			})
			measure("sign out", 2, 5, 7, func() *idptest.Response { return ada.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}) })

			path := sam.Consent(asking("prompt", "select_account"))
			w = measure("impersonated: consent", 12, 4, 16, func() *idptest.Response { return sam.Post(path, idptest.Wish("usr_ada", nil)) })
			w = measure("impersonated: code exchange", 4, 2, 6, func() *idptest.Response { return redeem(idp, w.Location().Query().Get("code")) })
			access = str(t, w.JSON(t), "access_token")
			measure("impersonated: userinfo", 2, 0, 2, func() *idptest.Response { return userinfo(idp, access) })
			measure("impersonated: introspection", 2, 0, 2, func() *idptest.Response {
				return idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {access}})
			})
			sid := str(t, idptest.Claims(t, access), "sid")
			w = measure("impersonated: stop", 4, 4, 8, func() *idptest.Response { return sam.Post("/impersonation/stop", url.Values{"id": {sid}}) })
			wantStatus(t, "stop", w, http.StatusSeeOther)

			var named string
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) (err error) {
				named, err = ticketOf(ctx, tx, sam)
				return err
			})
			w = measure("ticket: redemption", 8, 4, 12, func() *idptest.Response { return sam.Get(asking("login_hint", named)) })
			measure("ticket: code exchange", 4, 2, 6, func() *idptest.Response { return redeem(idp, w.Location().Query().Get("code")) })

			x := newTrade(t, idp, nil)
			w = measure("token exchange", 8, 3, 11, func() *idptest.Response { return x.call(x.form) })
			x.tokens = w.JSON(t)
			measure("token exchange: narrower", 2, 0, 2, func() *idptest.Response { return x.call(narrower(x.form.Get("actor_token"))) })
			measure("token exchange: narrower, acting", 6, 1, 7, func() *idptest.Response { return x.call(narrower(str(t, x.tokens, "access_token"))) })
			measure("token exchange: back", 5, 5, 10, func() *idptest.Response { return x.call(x.back(t)) })
		})
	}
}
