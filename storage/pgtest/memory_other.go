//go:build !linux

package pgtest

// Memory is a directory without a disk: there is none.
func Memory() string { return "" }
