// Package idptest runs a real provider for tests: the real handlers on a real
// database, without a socket, so that synctest can move its clock.
package idptest

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/storage/storagetest"
	"github.com/understudy-id/understudy/templates"
)

// Issuer is the issuer of every test's provider.
const Issuer = "https://id.example"

// Password is everybody's password.
const Password = "correct horse battery"

// Callback is the redirect URI of App.
const Callback = "https://app.example/callback"

// Secret is the secret of App and Service.
const Secret = "ucs_test-secret-of-a-test-client"

// IDP is a provider with a few people and clients: root (admin), sam (support),
// olga (auditor) of no organization; ada and grace of Globex, grace of Initech too,
// linus of Initech. Its clients are App (confidential, opted in, ES256), Public
// (no secret, not opted in) and Service (client credentials).
type IDP struct {
	Store    *storage.Store
	Provider *provider.Provider
	Keys     *provider.Keyring
	Auditor  *provider.Auditor
	Server   *handlers.Server
	Handler  http.Handler
	Log      io.Writer
	DSN      string // of its database

	options Options
}

// patience is how long PostgreSQL may take: a machine that runs tests has much to do.
const patience = time.Minute

// Options change what New makes. Zero values are the product's defaults.
type Options struct {
	DSN       string // sqlite: of a file that need not be there, or from Postgres; empty: a SQLite file
	Issuer    string // empty: Issuer
	Provider  provider.Config
	Handlers  handlers.Config
	Trace     func(string)
	Log       io.Writer // nil: discarded
	SwitchOff bool      // leave the master switch off
	SlowHash  bool      // passwords cost what they cost in the product
	Language  string    // what browsers ask for; empty: they do not say
}

// fast is what a password costs unless a test says SlowHash: hundreds of times less
// than the product's, in the same code.
var fast = &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Hashing returns what a password costs where no test says SlowHash.
func Hashing() *argon2id.Params {
	p := *fast
	return &p
}

var (
	fastHash = sync.OnceValues(func() (string, error) { return argon2id.CreateHash(Password, fast) })
	slowHash = sync.OnceValues(func() (string, error) { return provider.HashPassword(Password) })
)

// Each runs a test on both databases.
func Each(t *testing.T, test func(t *testing.T, idp *IDP)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, New(t, Options{})) })
	t.Run("postgres", func(t *testing.T) { test(t, New(t, Options{DSN: Postgres(t)})) })
}

// Postgres returns the DSN of a new PostgreSQL database, for Options.
func Postgres(t testing.TB) string {
	t.Helper()
	return migrated.Postgres(t)
}

var migrated = storagetest.New(func(dsn string) error {
	store, err := storage.Open(context.Background(), storage.Options{DSN: dsn})
	if err != nil {
		return err
	}
	_, err = store.Migrate(context.Background())
	return errors.Join(err, store.Close())
})

// New starts a provider.
func New(t testing.TB, o Options) *IDP {
	t.Helper()
	idp := start(t, o)
	idp.seed(t)
	return idp
}

// Again starts another provider on the same database: the one after a restart, or a
// second server.
func (idp *IDP) Again(t testing.TB) *IDP {
	t.Helper()
	return start(t, idp.options)
}

// Copy starts another provider on a copy of the SQLite database, which costs less
// than a new one.
func (idp *IDP) Copy(t testing.TB) *IDP {
	t.Helper()
	file := filepath.Join(storagetest.Dir(t), "understudy.db")
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(idp.DSN, "sqlite:"))
	check(t, err)
	_, err = db.Exec(`VACUUM INTO ?`, file)
	check(t, errors.Join(err, db.Close()))
	o := idp.options
	o.DSN = "sqlite:" + file
	return start(t, o)
}

var parsedPages = sync.OnceValues(func() (*templates.Set, error) { return templates.New(templates.Branding{}) })

func start(t testing.TB, o Options) *IDP {
	t.Helper()
	ctx := context.Background()
	if o.DSN == "" {
		o.DSN = "sqlite:" + filepath.Join(storagetest.Dir(t), "understudy.db")
	}
	if file, ok := strings.CutPrefix(o.DSN, "sqlite:"); ok {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			migrated.SQLite(t, file)
		}
	}
	if o.Issuer == "" {
		o.Issuer = Issuer
	}
	if o.Log == nil {
		o.Log = io.Discard
	}

	if !o.SlowHash {
		o.Provider.PasswordHashing = fast
	}
	o.Provider.Issuer, o.Provider.UILocales = o.Issuer, templates.LanguageTags()
	store, err := storage.Open(ctx, storage.Options{DSN: o.DSN, Trace: o.Trace, Patience: patience})
	check(t, err)
	t.Cleanup(func() { _ = store.Close() })
	keys, err := provider.NewKeyring(store, "a secret of a test that is long enough")
	check(t, err)
	check(t, reuseKeys(ctx, store))
	check(t, keys.Ensure(ctx, time.Now()))
	check(t, keepKeys(ctx, store))
	pages, err := parsedPages()
	check(t, err)
	log := slog.New(slog.NewJSONHandler(o.Log, nil))
	idp := &IDP{Store: store, Keys: keys, Log: o.Log, DSN: o.DSN, options: o}
	idp.Provider = provider.New(o.Provider, store, keys, log)
	idp.Auditor = provider.NewAuditor(store, keys, o.Issuer)
	o.Handlers.Auditor = idp.Auditor
	idp.Server = handlers.New(o.Handlers, idp.Provider, store, pages, log)
	idp.Handler = idp.Server.Handler()
	return idp
}

// made are the signing keys of the first provider of a test run. RSA keys take longer
// to make than most tests: all providers have the same, in databases of their own.
var made struct {
	sync.Mutex
	keys []storage.SigningKey
}

func reuseKeys(ctx context.Context, store *storage.Store) error {
	made.Lock()
	defer made.Unlock()
	if have, err := store.SigningKeys(ctx); err != nil || len(have) > 0 {
		return err
	}
	return store.Write(ctx, func(tx *storage.Tx) error {
		for _, key := range made.keys {
			if err := tx.CreateSigningKey(ctx, &key, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

func keepKeys(ctx context.Context, store *storage.Store) (err error) {
	made.Lock()
	defer made.Unlock()
	if made.keys == nil {
		made.keys, err = store.SigningKeys(ctx)
	}
	return err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// People by the first part of their e-mail address.
var people = []struct {
	name, role    string
	organizations []string
}{
	{"root", "admin", nil},
	{"sam", "support", nil},
	{"olga", "auditor", nil},
	{"ada", "", []string{"org_globex"}},
	{"grace", "", []string{"org_globex", "org_initech"}},
	{"linus", "", []string{"org_initech"}},
}

func (idp *IDP) seed(t testing.TB) {
	t.Helper()
	ctx, now := context.Background(), time.Now()
	hash, err := fastHash()
	if idp.options.SlowHash {
		hash, err = slowHash()
	}
	check(t, err)
	check(t, idp.Store.Write(ctx, func(tx *storage.Tx) error {
		for id, name := range map[string]string{"org_globex": "Globex", "org_initech": "Initech"} {
			if err := tx.CreateOrganization(ctx, &storage.Organization{ID: id, Name: name}, now); err != nil {
				return err
			}
		}
		for _, p := range people {
			u := &storage.User{
				ID: "usr_" + p.name, Email: p.name + "@example.test", EmailVerified: true, Name: p.name, PasswordHash: hash,
				GivenName: p.name, PhoneNumber: "+49 30 1", Address: `{"country":"Germany"}`,
			}
			if err := tx.CreateUser(ctx, u, now); err != nil {
				return err
			}
			for _, o := range p.organizations {
				if err := tx.AddMember(ctx, o, u.ID, "", now); err != nil {
					return err
				}
			}
			if p.role != "" {
				if err := tx.GrantRole(ctx, u.ID, p.role, now); err != nil {
					return err
				}
			}
		}
		for _, c := range []*storage.Client{App(), Public(), Service()} {
			if err := tx.CreateClient(ctx, c, now); err != nil {
				return err
			}
		}
		return tx.EnableImpersonation(ctx, !idp.options.SwitchOff, storage.Cause{}, now)
	}))
}

// App is a confidential web application that allows impersonation.
func App() *storage.Client {
	return &storage.Client{
		ID: "app", Name: "App", Type: "web", SecretHash: storage.Hash(Secret), TokenEndpointAuthMethod: "client_secret_basic",
		RedirectURIs: storage.List{Callback}, PostLogoutRedirectURIs: storage.List{"https://app.example/"},
		GrantTypes: storage.List{"authorization_code", "refresh_token"}, ResponseTypes: storage.List{"code"},
		Scope: "openid profile email address phone offline_access api:read api:write", Audience: storage.List{"https://api.example"},
		FirstParty: true, IDTokenSignedResponseAlg: "ES256", AccessTokenFormat: "jwt", Delivery: "initiate_login",
		AllowImpersonation: true, ReadOnlyScopes: storage.List{"api:read"}, ImpersonatorInResponse: true,
	}
}

// Public is somebody else's application, without a secret.
func Public() *storage.Client {
	return &storage.Client{
		ID: "public", Name: "Public", Type: "spa", TokenEndpointAuthMethod: "none",
		RedirectURIs: storage.List{"https://spa.example/cb"}, GrantTypes: storage.List{"authorization_code", "refresh_token"},
		ResponseTypes: storage.List{"code"}, Scope: "openid profile email offline_access", RequirePKCE: true,
		IDTokenSignedResponseAlg: "RS256", AccessTokenFormat: "opaque", Delivery: "initiate_login",
	}
}

// Service acts for itself.
func Service() *storage.Client {
	return &storage.Client{
		ID: "service", Name: "Service", Type: "service", SecretHash: storage.Hash(Secret), TokenEndpointAuthMethod: "client_secret_basic",
		GrantTypes: storage.List{"client_credentials"}, Scope: "jobs:run api:read", Audience: storage.List{"https://api.example"},
		IDTokenSignedResponseAlg: "RS256", AccessTokenFormat: "jwt", Delivery: "initiate_login",
	}
}

// Change changes the client as the database has it.
func (idp *IDP) Change(t testing.TB, id string, change func(*storage.Client)) {
	t.Helper()
	ctx := context.Background()
	c, err := idp.Store.Queries.Client(ctx, id)
	check(t, err)
	change(c)
	check(t, idp.Store.Write(ctx, func(tx *storage.Tx) error { return tx.UpdateClient(ctx, c, storage.Cause{}, time.Now()) }))
}

// Write changes the database.
func (idp *IDP) Write(t testing.TB, fn func(ctx context.Context, tx *storage.Tx) error) {
	t.Helper()
	ctx := context.Background()
	check(t, idp.Store.Write(ctx, func(tx *storage.Tx) error { return fn(ctx, tx) }))
}

// Limits is what a test that starts many impersonations needs.
func Limits() impersonation.Limits {
	return impersonation.Limits{MaxStartsPerHour: 1 << 30, MaxConcurrent: 1 << 30, MaxConcurrentPerClient: 1 << 30}
}
