// Package sqlite3 stands in for github.com/mattn/go-sqlite3, which gorm's dialect of
// SQLite imports for its side effect: it registers a driver. We never open that driver,
// and wherever there is a C compiler it would have the whole of SQLite compiled.
// See docs/adr/0019-no-sqlite-in-c.md.
package sqlite3
