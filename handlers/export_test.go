package handlers

import "strings"

// PagePosts are the paths of all routes for people that take a POST, and whether
// another site may send one by design.
func PagePosts() map[string]bool {
	paths := map[string]bool{}
	for _, rt := range routes {
		if path, ok := strings.CutPrefix(rt.pattern, "POST "); ok && (rt.kind == page || rt.kind == entry) {
			paths[path] = rt.kind == entry
		}
	}
	return paths
}
