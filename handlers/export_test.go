package handlers

import (
	"maps"
	"slices"
	"strings"
)

// PagePosts are the paths of all routes for people that take a POST, and whether
// another site may send one by design.
func PagePosts() map[string]bool {
	paths := map[string]bool{}
	for _, rt := range (&Server{consoleRoutes: consoleRoutes()}).table() {
		if path, ok := strings.CutPrefix(rt.pattern, "POST "); ok && (rt.kind == page || rt.kind == entry) {
			paths[path] = rt.kind == entry
		}
	}
	return paths
}

// AccountRoutes are the patterns of the account's pages, and whether each takes a POST
// from somebody who acts as another.
func AccountRoutes() map[string]bool {
	patterns := map[string]bool{}
	for _, rt := range accountRoutes() {
		patterns[rt.pattern] = rt.whileActing
	}
	return patterns
}

// ConsoleRoute is a row of the console's table.
type ConsoleRoute struct {
	Pattern, Permission string
	Within, WhileActing bool
}

// ConsoleRoutes are the rows of the console's table.
func ConsoleRoutes() (all []ConsoleRoute) {
	for _, rt := range consoleRoutes() {
		all = append(all, ConsoleRoute{rt.pattern, rt.permission, rt.within, rt.whileActing})
	}
	return all
}

// MenuLabels are the entries of the menus.
func MenuLabels() (labels []string) {
	for _, section := range slices.Concat(consoleSections, accountSections) {
		labels = append(labels, section.label)
	}
	return labels
}

// Notices are what pages say after something was done.
func Notices() []string { return slices.Collect(maps.Values(notices)) }

// DialectRoutes are the patterns of each dialect's rows for programs.
func DialectRoutes() map[string][]string {
	all := map[string][]string{}
	for _, d := range dialects() {
		for _, row := range d.rows {
			all[d.name] = append(all[d.name], row.pattern)
		}
	}
	return all
}
