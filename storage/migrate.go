package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// ErrSchema says that the database's schema is not the one this program knows.
var ErrSchema = errors.New("storage: the database has another schema version")

// Migrate brings the schema up to date and returns how many steps that took.
func (s *Store) Migrate(ctx context.Context) (int, error) {
	p, err := s.goose()
	if err != nil {
		return 0, err
	}
	defer p.Close()
	steps, err := p.Up(ctx)
	if err != nil {
		return len(steps), fmt.Errorf("migrate: %w", translate(err))
	}
	return len(steps), nil
}

// SchemaVersion returns the version of the database and the one this program knows.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	p, err := s.goose()
	if err != nil {
		return 0, 0, err
	}
	defer p.Close()
	if have, err = p.GetDBVersion(ctx); err != nil {
		return 0, 0, translate(err)
	}
	sources := p.ListSources()
	return have, sources[len(sources)-1].Version, nil
}

// CheckSchema returns ErrSchema, with what to do, unless the versions are equal.
func (s *Store) CheckSchema(ctx context.Context) error {
	have, want, err := s.SchemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case have < want:
		return fmt.Errorf("%w: it is at %d, this program needs %d; run understudy migrate up", ErrSchema, have, want)
	case have > want:
		return fmt.Errorf("%w: it is at %d, this program knows only %d; use the newer program", ErrSchema, have, want)
	}
	return nil
}

// goose returns the migrations with a connection of their own; Close closes both.
func (s *Store) goose() (*goose.Provider, error) {
	dialect := database.DialectSQLite3
	if s.dialect == Postgres {
		dialect = database.DialectPostgres
	}
	files, err := fs.Sub(migrations, "migrations/"+s.dialect)
	if err != nil {
		return nil, err
	}
	driver := map[string]string{SQLite: "sqlite", Postgres: "pgx"}[s.dialect]
	pool, err := sql.Open(driver, s.dsn) // its own: the writer keeps the only other one
	if err != nil {
		return nil, translate(err)
	}
	p, err := goose.NewProvider(dialect, pool, files)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: %w", err), pool.Close())
	}
	return p, nil
}
