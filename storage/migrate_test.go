package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm/schema"
)

// golden compares text with a checked-in file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; -update accepts it):\n%s", file, diff)
	}
}

// T37: no migration lets an application be opened by staff that nobody asked about.
func TestImpersonationIsOffAfterMigration(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			_, err := tx.exec(ctx, `INSERT INTO clients (id, name, type, token_endpoint_auth_method, created_at, updated_at) VALUES ('c', 'C', 'web', 'none', 1, 1)`)
			return err
		})
		c, err := s.Queries.Client(t.Context(), "c")
		if err != nil || c.AllowImpersonation || c.ImpersonationRefresh || c.Delivery != "initiate_login" {
			t.Errorf("got %+v, %v", c, err)
		}
		on, err := s.ImpersonationEnabled(t.Context())
		if err != nil || on {
			t.Errorf("the master switch is %v, %v", on, err)
		}
	})
}

// The schema that all migrations result in is checked in, so that a change of it
// shows in review.
func TestSchema(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		golden(t, "schema_"+s.Dialect()+".sql", dump(t, s))
	})
}

// Down and up again leads to the same schema; what holds data elsewhere is left alone.
func TestMigrateDownAndUp(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		was := dump(t, s)
		if err := s.CheckSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := s.goose()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.DownTo(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := dump(t, s); left != "" {
			t.Errorf("after down: got\n%s\nwant nothing", left)
		}
		wantErr(t, "check after down", s.CheckSchema(t.Context()), ErrSchema)
		for range 2 { // the second has nothing to do
			if _, err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(was, dump(t, s)); diff != "" {
			t.Errorf("after down and up (-want +got):\n%s", diff)
		}
	})
}

// A program refuses the database of a newer one, and says so.
func TestCheckSchemaNewer(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		exec(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, ?)`, true)
		err := s.CheckSchema(t.Context())
		if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "newer program") {
			t.Errorf("got %v, want ErrSchema that asks for the newer program", err)
		}
	})
}

// Migrations never change once they are merged: add another one.
func TestMigrationsImmutable(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations, "migrations/*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var sums strings.Builder
	for _, file := range files {
		b, err := migrations.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(b), file)
	}
	golden(t, "testdata/migrations.sha256", sums.String())
}

// Every model has exactly the columns of its table.
func TestModels(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		for _, model := range []any{
			&User{}, &Organization{}, &Membership{}, &Role{}, &UserRole{}, &Client{}, &Consent{}, &LoginSession{},
			&Interaction{}, &Impersonation{}, &Ticket{}, &Grant{}, &Token{}, &DeniedToken{}, &Event{}, &Checkpoint{},
			&SigningKey{}, &Setting{}, &Throttle{}, &LogoutNotice{}, &Webhook{}, &Delivery{}, &Approval{}, &Mail{},
		} {
			parsed, err := schema.Parse(model, &sync.Map{}, s.db.NamingStrategy)
			if err != nil {
				t.Fatalf("%T: %v", model, err)
			}
			types, err := s.conn(t.Context()).Migrator().ColumnTypes(parsed.Table)
			if err != nil {
				t.Fatalf("%T: %v", model, err)
			}
			var columns []string
			for _, column := range types {
				columns = append(columns, column.Name())
			}
			slices.Sort(columns)
			fields := slices.Sorted(slices.Values(parsed.DBNames))
			if diff := cmp.Diff(columns, fields); diff != "" {
				t.Errorf("%T (-table +model):\n%s", model, diff)
			}
		}
	})
}

// dump returns the schema of a database as text that is the same each time.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	statement := `SELECT sql || ';' FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'
		ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, tbl_name, name`
	if s.Dialect() == Postgres {
		statement = `
		SELECT line FROM (
			SELECT 0 AS kind, c.relname AS parent, a.attname AS name, format('%s.%s %s%s%s', c.relname, a.attname,
				format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
				' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS line
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL
			SELECT 1, conrelid::regclass::text, conname, format('%s: %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')
		UNION ALL
			SELECT 2, tablename, indexname, indexdef || ';' FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL
			SELECT 3, '', proname, pg_get_functiondef(oid) || ';' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL
			SELECT 4, tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) || ';' FROM pg_trigger WHERE NOT tgisinternal
		) lines WHERE parent NOT LIKE 'goose%' ORDER BY kind, parent COLLATE "C", name COLLATE "C"`
	}
	var lines []string
	if err := s.conn(t.Context()).Raw(statement).Scan(&lines).Error; err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
