package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Whatever forbids an impersonation while one starts: either the start comes first
// and is ended, or it comes second and is refused. The change is held open until the
// start has answered or waits for it.
func TestStartWhileForbidden(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, tx *storage.Tx) error{
		"kill switch": func(ctx context.Context, tx *storage.Tx) error {
			return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
		},
		"client opted out": func(ctx context.Context, tx *storage.Tx) error {
			c, err := tx.Client(ctx, "app")
			if err != nil {
				return err
			}
			c.AllowImpersonation = false
			return tx.UpdateClient(ctx, c, storage.Cause{}, time.Now())
		},
		"subject protected": func(ctx context.Context, tx *storage.Tx) error {
			return tx.SetNeverImpersonate(ctx, "usr_ada", true, storage.Cause{}, time.Now())
		},
		"subject disabled": func(ctx context.Context, tx *storage.Tx) error {
			return tx.DisableUser(ctx, "usr_ada", storage.Cause{}, time.Now())
		},
		"actor signed out everywhere": func(ctx context.Context, tx *storage.Tx) error {
			return tx.SetPassword(ctx, "usr_sam", "x", storage.Cause{}, time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
				b := person(t, idp, "sam")
				at := b.Consent(idptest.Request(nil))
				started, changed := make(chan *idptest.Response, 1), make(chan error, 1)
				go func() {
					changed <- idp.Store.Write(context.Background(), func(tx *storage.Tx) error {
						err := change(context.Background(), tx)
						go func() { started <- b.Post(at, idptest.Wish("usr_ada", nil)) }()
						waits(t, idp, started)
						return err
					})
				}()
				check(t, <-changed)
				w := <-started
				running, err := idp.Store.Impersonations(context.Background(), storage.ImpersonationFilter{Running: true}, time.Now())
				if err != nil || len(running) > 0 {
					t.Errorf("status %d, and %d run: %v", w.Status, len(running), err)
				}
			})
		})
	}
}

// waits returns when the start has answered, or waits in the database. On SQLite it
// cannot get as far: there is one writer.
func waits(t *testing.T, idp *idptest.IDP, started chan *idptest.Response) {
	if idp.Store.Dialect() == storage.SQLite {
		return
	}
	db := database(t, idp)
	for {
		select {
		case w := <-started:
			started <- w
			return
		default:
			if query(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0] != "0" {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// An answer needs a sign-in that stands when it is committed, not only when it was read.
func TestApproveAfterTheSessionEnded(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		for what, ask := range map[string]func(l *storage.Login, c *storage.Client) *impersonation.Ask{
			"as themselves": func(*storage.Login, *storage.Client) *impersonation.Ask { return nil },
			"as ada": func(l *storage.Login, c *storage.Client) *impersonation.Ask {
				return &impersonation.Ask{
					Actor: &l.User, ActorLogin: &l.LoginSession, Client: c, SubjectID: "usr_ada", Reason: "Cannot see invoice 4711",
					Access: impersonation.Full, Duration: time.Minute, Entry: "consent",
				}
			},
		} {
			ctx := provider.Begin(t.Context(), storage.Request{})
			b := person(t, idp, "sam")
			l, err := idp.Store.Login(ctx, storage.Hash(b.Cookies["__Host-understudy"]), time.Now())
			check(t, err)
			form, err := url.ParseQuery(strings.SplitN(idptest.Request(nil), "?", 2)[1])
			check(t, err)
			a, err := idp.Provider.NewAuthorizeRequest(ctx, form, time.Now())
			check(t, err)
			check(t, idp.Provider.SignOut(ctx, l, storage.Request{})) // in another tab
			_, err = idp.Provider.Approve(ctx, a, provider.As{Login: l, Scope: []string{"openid", "offline_access"}, Ask: ask(l, a.Client)}, nil)
			if !errors.Is(err, storage.ErrSpent) {
				t.Errorf("%s: got %v, want ErrSpent", what, err)
			}
		}
	})
}

// A code that was not exchanged when its person signed out is worth nothing.
func TestCodeAfterSignOut(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "ada")
		code := b.Code(idptest.Request(nil))
		wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
		wantRefused(t, "exchange", redeem(idp, code), http.StatusBadRequest, "invalid_grant")
	})
}

// A token that a client holds for itself ends with the client.
func TestOwnTokensOfAClient(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		for _, format := range []string{"jwt", "opaque"} {
			addClient(t, idp, "own-"+format, func(c *storage.Client) {
				c.GrantTypes, c.AccessTokenFormat, c.Audience = storage.List{"client_credentials"}, format, storage.List{"watcher"}
			})
		}
		addClient(t, idp, "watcher", nil)
		for _, id := range []string{"own-jwt", "own-opaque"} {
			w := idp.Call("/oauth2/token", id, idptest.Secret, url.Values{"grant_type": {"client_credentials"}, "audience": {"watcher"}})
			wantStatus(t, "token", w, http.StatusOK)
			active := func() bool {
				w := idp.Call("/oauth2/introspect", "watcher", idptest.Secret, url.Values{"token": {str(t, w.JSON(t), "access_token")}})
				return w.JSON(t)["active"] == true
			}
			if !active() {
				t.Errorf("%s: not active", id)
			}
			idp.Change(t, id, func(c *storage.Client) { c.Status = storage.ClientDisabled })
			if active() {
				t.Errorf("%s: active although its client is disabled", id)
			}
		}
	})
}

// An impersonation lies over the actor's sign-in and ends with it.
func TestImpersonationEndsWithTheSession(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "sam")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.TouchLoginSession(ctx, storage.Hash(b.Cookies["__Host-understudy"]), time.Now(), time.Now().Add(time.Hour))
	})
	l, err := idp.Store.Login(t.Context(), storage.Hash(b.Cookies["__Host-understudy"]), time.Now())
	check(t, err)
	tokens := idp.Tokens(t, b.ActAs("usr_ada", idptest.Request(nil)))
	i, err := idp.Store.Impersonation(t.Context(), str(t, idptest.Claims(t, tokens["id_token"]), "sid"))
	check(t, err)
	if i.ExpiresAt > l.ExpiresAt {
		t.Errorf("it ends at %v, the sign-in at %v", i.ExpiresAt.Time(), l.ExpiresAt.Time())
	}
}

// B15: what a token is for is fixed when the user is asked.
func TestResource(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	const ours, theirs = "https://api.example", "https://evil.example"
	wantOutcome(t, b, asking("resource", theirs), "error=invalid_target")
	for _, parameter := range []string{"resource", "audience"} {
		tokens := idp.Tokens(t, b.Code(asking(append([]string{parameter, ours}, offline...)...)))
		if got := idptest.Claims(t, tokens["access_token"])["aud"]; got != ours {
			t.Errorf("%s: aud %v", parameter, got)
		}
		wantRefused(t, "refresh", refresh(idp, str(t, tokens, "refresh_token"), parameter, theirs), http.StatusBadRequest, "invalid_target")
		wantRefused(t, "exchange", redeem(idp, b.Code(asking()), parameter, ours), http.StatusBadRequest, "invalid_target")
	}
	w := idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}, "resource": {theirs}})
	wantRefused(t, "client credentials", w, http.StatusBadRequest, "invalid_target")
}

// Nobody fills the database with what nobody reads.
func TestKeptRequests(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	anonymous := idp.Browser(t)
	w := anonymous.Get(asking("whatever", strings.Repeat("x", 8000)))
	id := w.Location().Query().Get("interaction")
	i, err := idp.Store.Interaction(t.Context(), storage.Hash(id), storage.Hash(anonymous.Cookies["__Host-understudy_browser"]), time.Now())
	check(t, err)
	if strings.Contains(i.Request, "whatever") {
		t.Errorf("kept: %.100s", i.Request)
	}
	long := strings.Repeat("x", 8000)
	wantStatus(t, "too long", anonymous.Get(asking("claims", long, "login_hint", long, "nonce", long)), http.StatusBadRequest)
}

// Whoever is refused again and again is told to wait, and the record does not grow.
func TestManyRefusals(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "sam")
		at := b.Consent(idptest.Request(nil))
		last := 0
		for range 40 {
			last = b.Post(at, idptest.Wish("usr_root", nil)).Status
		}
		denied := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventImpersonationDenied })
		if last != http.StatusTooManyRequests || len(denied) > 31 {
			t.Errorf("status %d, %d refusals on the record", last, len(denied))
		}
	})
}

// A10: nothing is claimed of how the subject signed in.
func TestAuthenticationOfTheSubject(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, c := range []struct{ parameter, value, want string }{
		{"max_age", "10000", "login_required"},
		{"acr_values", "phr", "unmet_authentication_requirements"},
		{"claims", `{"id_token":{"acr":{"essential":true}}}`, "unmet_authentication_requirements"},
	} {
		b := person(t, idp, "sam")
		w := b.Post(b.Consent(asking(c.parameter, c.value)), idptest.Wish("usr_ada", nil))
		if got := w.Location().Query().Get("error"); got != c.want {
			t.Errorf("%s: got %q at %s, want %s", c.parameter, got, w.Location(), c.want)
		}
	}
}

// Link checkers send HEAD: it neither issues a code nor signs anybody out.
func TestHead(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	hint := str(t, idp.Tokens(t, b.Code(idptest.Request(nil))), "id_token")
	for _, path := range []string{idptest.Request(nil), "/oauth2/logout?id_token_hint=" + hint} {
		w := b.Do(httptest.NewRequest(http.MethodHead, path, nil))
		wantStatus(t, path, w, http.StatusMethodNotAllowed)
	}
	if b.Get(asking("prompt", "none")).Location().Query().Get("code") == "" {
		t.Error("signed out")
	}
}

// An impersonation that a program starts lies over no sign-in: it ends by itself, not
// with the actor's, and with everything else that ends one. Its tokens have the
// actor's auth_time, where somebody knows it.
func TestApproveWithoutASignIn(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		sam, err := idp.Store.User(t.Context(), "usr_sam")
		check(t, err)
		key := storage.APIKey{Name: "Help desk", Permissions: storage.List{impersonation.PermissionStart}}
		_, err = provider.NewAPIKeys(idp.Store).Create(t.Context(), &key, storage.Cause{}, time.Now())
		check(t, err)
		caller := &impersonation.Caller{ID: key.ID, Standing: storage.Standing{Everywhere: key.Permissions}}
		asked := time.Now().Add(-time.Minute)
		for what, c := range map[string]struct {
			caller   *impersonation.Caller
			signedIn time.Time
			denial   impersonation.Denial
			authTime any
		}{
			"a caller vouches":                  {caller, time.Time{}, "", nil},
			"the actor signed in":               {nil, asked, "", float64(asked.Unix())},
			"the actor signed in, a caller too": {caller, asked, "", float64(asked.Unix())},
			"the actor signed in long ago":      {caller, time.Now().Add(-time.Hour), impersonation.DenyStepUp, nil},
			"nobody vouches":                    {nil, time.Time{}, impersonation.DenyStepUp, nil},
		} {
			ctx, other := provider.Begin(t.Context(), storage.Request{}), person(t, idp, "sam")
			form, err := url.ParseQuery(strings.SplitN(idptest.Request(nil), "?", 2)[1])
			check(t, err)
			a, err := idp.Provider.NewAuthorizeRequest(ctx, form, time.Now())
			check(t, err)
			answer, err := idp.Provider.Approve(ctx, a, provider.As{Scope: []string{"openid"}, Ask: &impersonation.Ask{
				Actor: sam, ActorAuthTime: c.signedIn, Caller: c.caller, Client: a.Client, SubjectID: "usr_ada",
				Reason: "Cannot see invoice 4711", Access: impersonation.Full, Duration: time.Minute, Entry: "api",
			}}, nil)
			if denial, _ := impersonation.Denied(err); denial != c.denial {
				t.Errorf("%s: got %v, want %q", what, err, c.denial)
			}
			if err != nil {
				continue
			}
			got := redeem(idp, answer.Parameters.Get("code"))
			wantStatus(t, what, got, http.StatusOK)
			claims := idptest.Claims(t, got.JSON(t)["id_token"])
			if act, _ := claims["act"].(map[string]any); claims["sub"] != "usr_ada" || act["sub"] != "usr_sam" || claims["auth_time"] != c.authTime {
				t.Errorf("%s: %v", what, claims)
			}
			wantStatus(t, "sign out", other.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
			token := str(t, got.JSON(t), "access_token")
			if w := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}}); w.JSON(t)["active"] != true {
				t.Errorf("%s: ended with a sign-in that it does not lie over", what)
			}
			check(t, idp.Provider.Impersonation.EndAll(ctx, storage.Cause{}, time.Now()))
			if w := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}}); w.JSON(t)["active"] != false {
				t.Errorf("%s: its token outlives it", what)
			}
		}
	})
}
