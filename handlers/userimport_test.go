package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// operator is who imports with the database in their hands.
var operator = provider.ImportOptions{Operator: true}

// importUsers imports a file that can be read.
func importUsers(
	t testing.TB, idp *idptest.IDP, text string, o provider.ImportOptions, by string,
) (*provider.ImportReport, error) {
	t.Helper()
	f, err := provider.ReadUsers(strings.NewReader(text), "")
	check(t, err)
	cause := storage.Cause{By: by, Request: storage.Request{ID: "req_import", IP: "192.0.2.1"}}
	return provider.NewDirectory(idp.Store).ImportUsers(t.Context(), f, o, cause, time.Now())
}

// wantReport compares a report with what it should say.
func wantReport(t testing.TB, what string, r *provider.ImportReport, err error, created, existing int, problems ...string) {
	t.Helper()
	var said []string
	for _, p := range r.Problems {
		said = append(said, p.Error())
	}
	if err != nil || r.Created != created || r.Existing != existing || !slices.Equal(said, problems) {
		t.Errorf("%s: got %d created, %d existing, %v, %q\nwant %d created, %d existing, %q",
			what, r.Created, r.Existing, err, said, created, existing, problems)
	}
}

// manyUsers is a file of n users without ids, in the organization Globex.
func manyUsers(n int) string {
	var b strings.Builder
	b.WriteString("email,organizations\n")
	for i := range n {
		fmt.Fprintf(&b, "many%04d@globex.test,Globex\n", i)
	}
	return b.String()
}

// Users who were imported with a hash sign in with the password they had, and from
// then on with a hash of ours.
func TestImportedUsersSignIn(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		const password = "Gr33n eggs, häm" // no rule of ours is asked about it
		classic, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		check(t, err)
		argon, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 3, Parallelism: 4, SaltLength: 8, KeyLength: 16})
		check(t, err)
		ours, err := argon2id.CreateHash(password, idptest.Hashing())
		check(t, err)
		hashes := map[string]string{"argon": argon, "ours": ours, "gone": string(classic), "none": ""}
		for _, kind := range []string{"$2a", "$2b", "$2y"} {
			hashes["bcrypt"+kind[2:]] = kind + string(classic[3:])
		}
		file := "email,password_hash,status\n"
		for _, name := range slices.Sorted(maps.Keys(hashes)) {
			status := ""
			if name == "gone" {
				status = "disabled"
			}
			file += fmt.Sprintf("%s@globex.test,%q,%s\n", name, hashes[name], status)
		}
		r, err := importUsers(t, idp, file, operator, "")
		wantReport(t, "import", r, err, len(hashes), 0)

		signIn := func(name, password string) int {
			return idp.Browser(t).Post("/login", url.Values{"username": {name + "@globex.test"}, "password": {password}}).Status
		}
		stored := func(name string) string {
			u, err := idp.Store.UserByEmail(t.Context(), name+"@globex.test")
			check(t, err)
			return u.PasswordHash
		}
		for name, hash := range hashes {
			for _, wrong := range []string{"", "gr33n eggs, häm", hash} {
				if got := signIn(name, wrong); got != http.StatusUnauthorized || stored(name) != hash {
					t.Errorf("%s with %q: status %d, hash %s", name, wrong, got, stored(name))
				}
			}
			if name == "gone" || name == "none" {
				if got := signIn(name, password); got != http.StatusUnauthorized || stored(name) != hash {
					t.Errorf("%s: status %d, hash %s", name, got, stored(name))
				}
				continue
			}
			for range 2 {
				if got := signIn(name, password); got != http.StatusSeeOther {
					t.Errorf("%s: status %d", name, got)
				}
			}
			upgraded := stored(name)
			params, _, _, err := argon2id.DecodeHash(upgraded)
			if err != nil || *params != *idptest.Hashing() || (upgraded == hash) != (name == "ours") {
				t.Errorf("%s: the hash is now %s, %v", name, upgraded, err)
			}
			if got := signIn(name, "another"); got != http.StatusUnauthorized {
				t.Errorf("%s: status %d with a wrong password", name, got)
			}
		}
	})
}

// An import is as good as creating each user by hand, with the same record.
func TestImportUsers(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		object := `{"id":"legacy|7","email":"Ada@globex.test","email_verified":true,"name":"Ada","address":{"country":"UK"},` +
			`"organizations":["Globex:support","org_initech"],"roles":["auditor"],"never_impersonate":true,"status":"disabled"}`
		r, err := importUsers(t, idp, object+"\n"+`{"email":"bob@globex.test"}`, operator, "usr_root")
		wantReport(t, "import", r, err, 2, 0)
		u, err := idp.Store.User(t.Context(), "legacy|7")
		if err != nil || u.Email != "Ada@globex.test" || !u.EmailVerified || u.Address != `{"country":"UK"}` || u.Active() || !u.NeverImpersonate ||
			u.EmailKey != "ada@globex.test" || u.PasswordChangedAt.Set() || !u.CreatedAt.Set() {
			t.Errorf("got %+v, %v", u, err)
		}
		standing, err := idp.Store.Standing(t.Context(), u.ID)
		if err != nil || !standing.May("events:export", "") || !standing.May("impersonation:start", "org_globex") ||
			standing.May("impersonation:start", "") || !standing.MemberOf("org_initech") {
			t.Errorf("got %+v, %v", standing, err)
		}
		bob, err := idp.Store.UserByEmail(t.Context(), "bob@globex.test")
		if err != nil || !strings.HasPrefix(bob.ID, "usr_") || !bob.Active() {
			t.Errorf("got %+v, %v", bob, err)
		}

		_, err = idp.Store.Sequence(t.Context(), "test", time.Now())
		check(t, err)
		said := func(subject string) (all []string) {
			events, err := idp.Store.Events(t.Context(), storage.EventFilter{SubjectID: subject})
			check(t, err)
			for _, e := range events {
				var p storage.Private
				check(t, json.Unmarshal([]byte(e.Private), &p))
				if e.ActorID != "usr_root" || e.RequestID != "req_import" || p.IP != "192.0.2.1" {
					t.Errorf("got %+v", e)
				}
				data, err := json.Marshal(e.Data)
				check(t, err)
				all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Type, e.OrganizationID, data)))
			}
			slices.Sort(all)
			return all
		}
		want := []string{
			`organization.member_added org_globex null`, `organization.member_added org_initech null`,
			`user.created  {"disabled":true,"email_verified":true,"imported":true,"never_impersonate":true,"password":false}`,
			`user.role_granted  {"role":"auditor"}`, `user.role_granted org_globex {"role":"support"}`,
		}
		if got := said(u.ID); !slices.Equal(got, want) {
			t.Errorf("got events %q\nwant %q", got, want)
		}
		if got := said(bob.ID); len(got) != 1 || !strings.HasPrefix(got[0], "user.created") {
			t.Errorf("got events %q", got)
		}
	})
}

// One thing a row that the database has against the second of three users: it is
// named and nobody is added, or the others are where that was asked for. A dry run
// says the same and changes nothing.
func TestImportProblems(t *testing.T) {
	t.Parallel()
	const mayNot = "only who holds all its permissions everywhere can give this role"
	const noRole, noOrganization = "there is no such role; there are admin, app-admin, auditor, support", "there is no organization with this id or name"
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		db := database(t, idp)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.CreateOrganization(ctx, &storage.Organization{ID: "org_odd", Name: "Odd:support"}, time.Now())
		})
		r, err := importUsers(t, idp, `{"id":"usr_local","email":"local@example.test","organizations":["Globex:admin"]}`, operator, "")
		wantReport(t, "usr_local", r, err, 1, 0)
		for i, c := range []struct {
			name string
			by   string   // who imports; empty: an operator
			user string   // what is changed about the second user
			want []string // nil: is added
		}{
			{"nothing", "", ``, nil},
			{"D13 the address of a user", "", `"email":"ADA@example.test"`, []string{`email "ADA@example.test": user "usr_ada" has it`}},
			{"D13 the address in other letters", "", `"email":"ａda@example.test"`, []string{`email "ａda@example.test": user "usr_ada" has it`}},
			{"D13 the id of a user", "", `"id":"usr_ada"`, []string{`id "usr_ada": a user has it`}},
			{"D13 the id of a client", "", `"id":"app"`, []string{`id "app": a client has it`}},
			{
				"the address of one and the id of another", "", `"id":"usr_sam","email":"ada@example.test"`,
				[]string{`email "ada@example.test": user "usr_ada" has it`, `id "usr_sam": a user has it`},
			},
			{"a user who exists", "", `"id":"usr_ada","email":"ada@example.test"`, []string{`email "ada@example.test": user "usr_ada" has it`}},
			{"no such role", "", `"roles":["king"]`, []string{`roles "king": ` + noRole}},
			{"a role in other letters", "", `"roles":["Admin"]`, []string{`roles "Admin": ` + noRole}},
			{"no such organization", "", `"organizations":["Hooli"]`, []string{`organizations "Hooli": ` + noOrganization}},
			{"no such organization, with a role", "", `"organizations":["Hooli:support"]`, []string{`organizations "Hooli:support": ` + noOrganization}},
			{"no such role there", "", `"organizations":["Globex:king"]`, []string{`organizations "Globex:king": ` + noRole}},
			{"an empty role there", "", `"organizations":["Globex:"]`, []string{`organizations "Globex:": ` + noRole}},
			{"by id and by name", "", `"organizations":["Globex","org_globex:support"]`, []string{`organizations "org_globex:support": the organization is there twice`}},
			{"a colon in a name", "", `"organizations":["Odd:support","org_globex:support"]`, nil},
			{"a colon in a name, and a role", "", `"organizations":["Odd:support:auditor","org_odd"]`, []string{`organizations "org_odd": the organization is there twice`}},
			{"quotes", "", `"organizations":["' OR 1=1 --","\"]"]`, []string{`organizations "' OR 1=1 --": ` + noOrganization, `organizations "\"]": ` + noOrganization}},

			{"an administrator, any role", "usr_root", `"roles":["admin","support"],"organizations":["Globex:admin"]`, nil},
			{"support, their own role", "usr_sam", `"roles":["support"],"organizations":["Globex:support"]`, nil},
			{"support, no role", "usr_sam", `"organizations":["Globex"],"never_impersonate":true`, nil},
			{"support, another role", "usr_sam", `"roles":["admin"]`, []string{`roles "admin": ` + mayNot}},
			{"support, a role that may as much elsewhere", "usr_sam", `"roles":["auditor"]`, []string{`roles "auditor": ` + mayNot}},
			{"support, another role within", "usr_sam", `"organizations":["Globex:admin"]`, []string{`organizations "Globex:admin": ` + mayNot}},
			{"an administrator within, their own role", "usr_local", `"organizations":["Globex:admin"]`, []string{`organizations "Globex:admin": ` + mayNot}},
			{"an administrator within, less", "usr_local", `"organizations":["Globex:support"]`, []string{`organizations "Globex:support": ` + mayNot}},
			{"a user without a role", "usr_ada", `"roles":["support"]`, []string{`roles "support": ` + mayNot}},
			{"who is not known", "usr_nobody", `"roles":["support"]`, []string{`roles "support": ` + mayNot}},
		} {
			t.Run(c.name, func(t *testing.T) {
				second := map[string]any{"email": fmt.Sprintf("two%d@import.test", i)}
				check(t, json.Unmarshal([]byte("{"+c.user+"}"), &second))
				text, err := json.Marshal(second)
				check(t, err)
				file := fmt.Sprintf("{\"email\":\"one%d@import.test\"}\n%s\n{\"email\":\"three%d@import.test\"}", i, text, i)
				var problems []string
				for _, want := range c.want {
					problems = append(problems, "line 2: "+want)
				}
				good, rest := 3, 3
				if c.want != nil {
					good, rest = 0, 2
				}
				before := rows(t, idp, db)
				for _, step := range []struct {
					what          string
					dry, skip     bool
					want          int
					bad, unchange bool
				}{
					{what: "dry run", dry: true, want: good, unchange: true},
					{what: "dry run without the bad", dry: true, skip: true, want: rest, unchange: true},
					{what: "all or none", want: good, unchange: c.want != nil},
					{what: "without the bad", skip: true, want: rest},
				} {
					if c.want == nil && step.skip && !step.dry {
						continue // they are there already
					}
					r, err := importUsers(t, idp, file, provider.ImportOptions{DryRun: step.dry, SkipBad: step.skip, Operator: c.by == ""}, c.by)
					wantReport(t, step.what, r, err, step.want, 0, problems...)
					if step.unchange && !maps.EqualFunc(before, rows(t, idp, db), slices.Equal) {
						t.Errorf("%s: something changed", step.what)
					}
				}
				added := query(t, db, fmt.Sprintf(`SELECT email FROM users WHERE email IN ('one%d@import.test', 'two%d@import.test', 'three%d@import.test')`, i, i, i))
				if len(added) != rest {
					t.Errorf("%d users are there, want %d", len(added), rest)
				}
			})
		}
	})
}

// An import that somebody ended has added what it says, each with its event, and is
// completed by another with the same file.
func TestImportResumes(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"sqlite": "", "postgres": idptest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			const n = 1200
			ctx, cancel := context.WithCancel(t.Context())
			var counting atomic.Bool
			var statements atomic.Int64 // of a hundred users each
			idp := idptest.New(t, idptest.Options{DSN: dsn, Trace: func(statement string) {
				if counting.Load() && strings.HasPrefix(statement, "INSERT INTO users ") && statements.Add(1) == 8 {
					cancel()
				}
			}})
			counting.Store(true)
			f, err := provider.ReadUsers(strings.NewReader(manyUsers(n)), "")
			check(t, err)
			d := provider.NewDirectory(idp.Store)
			r, err := d.ImportUsers(ctx, f, operator, storage.Cause{}, time.Now())
			if !errors.Is(err, context.Canceled) || r.Created < 500 || r.Created > 1000 || len(r.Problems) > 0 {
				t.Fatalf("got %+v, %v", r, err)
			}
			added := r.Created
			wantImported(t, idp, added)

			r, err = d.ImportUsers(t.Context(), f, operator, storage.Cause{}, time.Now())
			if err != nil || r.Created != 0 || r.Bad() != added || r.Problems[0].Line != 2 || r.Problems[added-1].Line != added+1 ||
				!strings.HasSuffix(r.Problems[0].Error(), "has it") {
				t.Errorf("once more: %d created, %d bad, %v, want %d bad", r.Created, r.Bad(), err, added)
			}
			r, err = d.ImportUsers(t.Context(), f, provider.ImportOptions{Operator: true, SkipExisting: true, DryRun: true}, storage.Cause{}, time.Now())
			wantReport(t, "dry run", r, err, n-added, added)
			r, err = d.ImportUsers(t.Context(), f, provider.ImportOptions{Operator: true, SkipExisting: true}, storage.Cause{}, time.Now())
			wantReport(t, "the rest", r, err, n-added, added)
			wantImported(t, idp, n)
			r, err = d.ImportUsers(t.Context(), f, provider.ImportOptions{Operator: true, SkipExisting: true}, storage.Cause{}, time.Now())
			wantReport(t, "nothing left", r, err, 0, n)

			// Somebody who exists by half is nobody who can be left as they are.
			r, err = importUsers(t, idp, "id,email\nusr_ada,many0001@globex.test\nusr_ada,ada@example.test\nusr_ada,x@globex.test",
				provider.ImportOptions{Operator: true, SkipExisting: true}, "")
			if err != nil || r.Bad() != 3 || r.Existing != 0 {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// wantImported compares how many of manyUsers are there with their events and
// memberships, each once.
func wantImported(t testing.TB, idp *idptest.IDP, want int) {
	t.Helper()
	db := database(t, idp)
	for what, statement := range map[string]string{
		"users":       `SELECT COUNT(*) FROM users WHERE email LIKE 'many%'`,
		"addresses":   `SELECT COUNT(DISTINCT email_key) FROM users WHERE email LIKE 'many%'`,
		"memberships": `SELECT COUNT(*) FROM memberships WHERE user_id IN (SELECT id FROM users WHERE email LIKE 'many%')`,
		"created":     `SELECT COUNT(*) FROM events WHERE type = 'user.created'`,
		"subjects":    `SELECT COUNT(DISTINCT subject_id) FROM events WHERE type = 'user.created'`,
		"members":     `SELECT COUNT(*) FROM events WHERE type = 'organization.member_added'`,
	} {
		if got := query(t, db, statement)[0]; got != fmt.Sprint(want) {
			t.Errorf("%s: got %s, want %d", what, got, want)
		}
	}
}

// Of imports of one file at the same time each user is added by one, and named or
// left as they are by the others.
func TestImportRace(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]provider.ImportOptions{
		"all or none":   operator,
		"skip bad":      {Operator: true, SkipBad: true},
		"skip existing": {Operator: true, SkipExisting: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
				const n, imports = 1100, 3
				d := provider.NewDirectory(idp.Store)
				f, err := provider.ReadUsers(strings.NewReader(manyUsers(n)), "")
				check(t, err)
				reports := make([]*provider.ImportReport, imports)
				var wg sync.WaitGroup
				for i := range reports {
					wg.Go(func() {
						var err error
						if reports[i], err = d.ImportUsers(t.Context(), f, o, storage.Cause{}, time.Now()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				created := 0
				for _, r := range reports {
					created += r.Created
					switch said := r.Created + r.Existing + r.Bad(); {
					case o != operator && said != n, o.SkipExisting && r.Bad() > 0:
						t.Errorf("%d created, %d existing, %d bad of %d", r.Created, r.Existing, r.Bad(), n)
					case o == operator && r.Bad() == 0 && r.Created != n:
						t.Errorf("stopped after %d without a word", r.Created)
					}
				}
				if o != operator && created != n {
					t.Errorf("%d users were created, want %d", created, n)
				}
				wantImported(t, idp, created)
				r, err := d.ImportUsers(t.Context(), f, provider.ImportOptions{Operator: true, SkipExisting: true}, storage.Cause{}, time.Now())
				wantReport(t, "the rest", r, err, n-created, created)
				wantImported(t, idp, n)
			})
		})
	}
}

// A23: no record, no users.
func TestImportWithoutRecord(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	db := database(t, idp)
	exec(t, db, `CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.type = 'organization.member_added' BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	before := rows(t, idp, db)
	r, err := importUsers(t, idp, manyUsers(3), operator, "")
	if !errors.Is(err, storage.ErrRecord) || r.Created != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if !maps.EqualFunc(before, rows(t, idp, db), slices.Equal) {
		t.Error("something changed")
	}
	exec(t, db, `DROP TRIGGER broken`)
	r, err = importUsers(t, idp, manyUsers(3), operator, "")
	wantReport(t, "afterwards", r, err, 3, 0)
}

// BenchmarkImportUsers imports files of 10,000 users, each a member of an organization
// with a hash: reading, looking, writing with two events each, and making way.
func BenchmarkImportUsers(b *testing.B) {
	const n = 10_000
	idp := idptest.New(b, idptest.Options{})
	hash, err := bcrypt.GenerateFromPassword([]byte("a password"), bcrypt.MinCost)
	check(b, err)
	var users int
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		var file strings.Builder
		file.WriteString("email,email_verified,name,given_name,family_name,password_hash,organizations\n")
		for range n {
			users++
			fmt.Fprintf(&file, "user%d@globex.test,true,User %d,User,%d,%s,Globex\n", users, users, users, hash)
		}
		before := cpu()
		b.StartTimer()
		r, err := importUsers(b, idp, file.String(), operator, "")
		used += cpu() - before
		wantReport(b, "import", r, err, n, 0)
	}
	b.ReportMetric(float64(users)/b.Elapsed().Seconds(), "users/s")
	b.ReportMetric(float64(used.Microseconds())/float64(users), "cpu-us/user")
}
