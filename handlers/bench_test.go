package handlers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// Each benchmark runs at 1 and at 32 goroutines and reports the CPU time of the
// whole process per operation, which on a shared machine says more than the clock.
// Compare it with BenchmarkFloor of the same run.

func bench(b *testing.B, name string, prepare func(b *testing.B, worker int) (op func() error)) {
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("%s/goroutines=%d", name, workers), func(b *testing.B) {
			ops := make([]func() error, workers)
			for i := range ops {
				ops[i] = prepare(b, i)
			}
			next := make(chan struct{}, b.N)
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			var wg sync.WaitGroup
			for _, op := range ops {
				wg.Go(func() {
					for range next {
						if err := op(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFloor is what nothing can do without: the same signatures, alone and
// with one row that is durable.
func BenchmarkFloor(b *testing.B) {
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("what is signed"))
	signES := func() error { _, err := ecdsa.SignASN1(rand.Reader, es, sum[:]); return err }
	signRS := func() error { _, err := rsa.SignPKCS1v15(nil, rs, crypto.SHA256, sum[:]); return err }
	store := idptest.New(b, idptest.Options{}).Store
	row := func() error {
		return store.Write(b.Context(), func(tx *storage.Tx) error {
			return tx.CreateTokens(b.Context(), []storage.Token{{
				Hash: storage.Hash(rand.Text()), Kind: storage.RefreshToken, ClientID: "app", Scope: "openid email",
				CreatedAt: storage.At(time.Now()), ExpiresAt: storage.At(time.Now().Add(time.Hour)),
			}})
		})
	}
	for _, f := range []struct {
		name  string
		parts []func() error
	}{
		{"ES256", []func() error{signES}},
		{"ES256x2", []func() error{signES, signES}},
		{"RS256+ES256", []func() error{signRS, signES}},
		{"Row", []func() error{row}},
		{"ES256+Row", []func() error{signES, row}},
		{"ES256x2+Row", []func() error{signES, signES, row}},
		{"RS256+ES256+Row", []func() error{signRS, signES, row}},
	} {
		bench(b, f.name, func(b *testing.B, _ int) func() error {
			return func() error {
				for _, part := range f.parts {
					if err := part(); err != nil {
						return err
					}
				}
				return nil
			}
		})
	}
}

func benchIDP(b *testing.B) *idptest.IDP {
	return idptest.New(b, idptest.Options{Provider: provider.Config{Impersonation: idptest.Limits()}})
}

func BenchmarkLogin(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256"} {
		idp := benchIDP(b)
		idp.Change(b, "app", func(c *storage.Client) { c.IDTokenSignedResponseAlg = alg })
		bench(b, alg, func(b *testing.B, _ int) func() error {
			browser := idp.Browser(b)
			browser.SignIn("ada")
			return func() error {
				w := browser.Get(idptest.Request(nil))
				_, err := exchange(idp, w)
				return err
			}
		})
	}
}

func BenchmarkImpersonatedLogin(b *testing.B) {
	idp := benchIDP(b)
	var people chan *idptest.Browser
	bench(b, "ES256", func(b *testing.B, worker int) func() error {
		if worker == 0 {
			people = staff(b, idp, b.N)
		}
		return func() error {
			browser := <-people
			defer func() { people <- browser }()
			w := browser.Get(idptest.Request(func(q url.Values) { q.Set("prompt", "select_account") }))
			w = browser.Post(w.Location().Path, idptest.Wish("usr_ada", nil))
			tokens, err := exchange(idp, w)
			if err != nil {
				return err
			}
			i, _ := tokens.JSON(b)["impersonation"].(map[string]any)
			id, _ := i["id"].(string)
			return idp.Provider.Impersonation.End(b.Context(), id, storage.Cause{Reason: storage.EndStopped}, time.Now())
		}
	})
}

// BenchmarkTokenExchange begins to act as a user and, in another, comes back as well;
// each actor does it some times, as the limits have it. Before that a token of a user, and
// one in which somebody acts, give another.
func BenchmarkTokenExchange(b *testing.B) {
	idp := benchIDP(b)
	actors := make([]*trade, 400)
	for i := range actors {
		actors[i] = newTrade(b, idp, nil)
		actors[i].set("scope", "openid email")
		if i > 0 { // one client, as there would be
			x := actors[i]
			x.client = actors[0].client
			x.by(str(b, x.signsIn(b, x.browser, "scope", "openid email"), "access_token"))
		}
	}
	acting := str(b, actors[0].exchanged(b), "access_token")
	for name, token := range map[string]string{"narrower": actors[1].form.Get("actor_token"), "narrower, acting": acting} {
		bench(b, name, func(b *testing.B, _ int) func() error {
			return func() error { return wantOK(actors[0].call(narrower(token, "scope", "openid"))) }
		})
	}
	var turn atomic.Int64
	for _, name := range []string{"start", "start and back"} {
		bench(b, name, func(b *testing.B, _ int) func() error {
			return func() error {
				x := actors[turn.Add(1)%int64(len(actors))]
				w := x.call(x.form)
				if name == "start" || w.Status != http.StatusOK {
					return wantOK(w)
				}
				return wantOK(x.call(url.Values{
					"grant_type": {grantExchange}, "subject_token": {str(b, w.JSON(b), "access_token")}, "subject_token_type": {accessType},
					"requested_subject": {x.actorID()}, "scope": {"openid email"},
				}))
			}
		})
	}
}

func exchange(idp *idptest.IDP, w *idptest.Response) (*idptest.Response, error) {
	code := w.Location().Query().Get("code")
	if code == "" {
		return nil, fmt.Errorf("status %d, location %s, no code: %.300s", w.Status, w.Location(), w.Body)
	}
	w = idp.Call("/oauth2/token", "app", idptest.Secret, idptest.Exchange(code, nil))
	return w, wantOK(w)
}

// tokens signs ada in and returns her tokens.
func tokens(b *testing.B, idp *idptest.IDP) map[string]any {
	browser := idp.Browser(b)
	browser.SignIn("ada")
	return idp.Tokens(b, browser.Code(idptest.Request(func(q url.Values) { q.Set("scope", "openid email offline_access") })))
}

func BenchmarkRefresh(b *testing.B) {
	idp := benchIDP(b)
	bench(b, "ES256", func(b *testing.B, _ int) func() error {
		current, _ := tokens(b, idp)["refresh_token"].(string)
		return func() error {
			w := idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {current}})
			if w.Status != http.StatusOK {
				return fmt.Errorf("refresh: %d %s", w.Status, w.Body)
			}
			current, _ = w.JSON(b)["refresh_token"].(string)
			return nil
		}
	})
}

func BenchmarkClientCredentials(b *testing.B) {
	idp := benchIDP(b)
	bench(b, "ES256", func(b *testing.B, _ int) func() error {
		return func() error {
			w := idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"jobs:run"}})
			return wantOK(w)
		}
	})
}

func BenchmarkIntrospect(b *testing.B) {
	idp := benchIDP(b)
	bench(b, "JWT", func(b *testing.B, _ int) func() error {
		token, _ := tokens(b, idp)["access_token"].(string)
		return func() error {
			return wantOK(idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}}))
		}
	})
}

func BenchmarkUserinfo(b *testing.B) {
	idp := benchIDP(b)
	bench(b, "JWT", func(b *testing.B, _ int) func() error {
		token, _ := tokens(b, idp)["access_token"].(string)
		return func() error {
			r := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			return wantOK(idp.Do(r))
		}
	})
}

func BenchmarkMetadata(b *testing.B) {
	idp := benchIDP(b)
	for _, document := range []string{"openid-configuration", "jwks.json"} {
		bench(b, document, func(b *testing.B, _ int) func() error {
			return func() error {
				return wantOK(idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/"+document, nil)))
			}
		})
	}
}

func wantOK(w *idptest.Response) error {
	if w.Status != http.StatusOK {
		return fmt.Errorf("status %d: %s", w.Status, w.Body)
	}
	return nil
}
