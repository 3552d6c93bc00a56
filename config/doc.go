// Package config reads the configuration of an Understudy server, once, into
// plain structs, and says everything that is wrong with it in one answer.
//
// A value comes from the YAML file, is overridden by the environment, and that
// by a flag. config.go declares every key: its place, type, default, rules and
// description are read from the struct there, and nowhere else, by the loader,
// the JSON Schema, the reference in docs/configuration.md and the hints.
//
// Read config.go (the keys), fields.go (the table made from them), load.go with
// file.go and environment.go (the sources), decode.go, validate.go with checks.go
// (the rules), then problems.go. Secret and DSN never print what they hold.
package config
