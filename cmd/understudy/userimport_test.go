package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestUserImport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("org", "create", "Globex", "--id", "org_globex")
	const hash = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	file := s.file("users.csv", "\ufeffemail;name;password_hash;organizations;roles\r\n"+
		"ada@globex.test;Ada;"+hash+";Globex:support;\r\nbob@globex.test;;;;auditor\r\n")

	want(t, "dry run", s.ok("user", "import", file, "--dry-run"), "2 of 2 users would be added, 0 existed already, 0 cannot be added\n")
	want(t, "users after a dry run", len(s.list("user", "list")), 0)
	want(t, "import", s.ok("user", "import", file), "2 of 2 users added, 0 existed already, 0 cannot be added\n")
	ada := s.object("user", "show", "ada@globex.test")
	want(t, "has a password", ada["has_password"], true)
	want(t, "organizations", ada["organizations"], "[map[id:org_globex name:Globex role:support]]")
	want(t, "roles", s.object("user", "show", "bob@globex.test")["roles"], "[auditor]")

	fails := func(says, output string, args ...string) {
		t.Helper()
		out, err := s.run("", append([]string{"user", "import"}, args...)...)
		if exitCode(err) != exitFailure || !strings.Contains(err.Error(), says) || out != output {
			t.Errorf("%v: got %v and %s\nwant %s and %s", args, err, out, says, output)
		}
	}
	id := ada["id"].(string)
	fails("2 of 2 users cannot be added", `line 2: email "ada@globex.test": user "`+id+"\" has it\n"+
		`line 3: email "bob@globex.test": user "`+s.object("user", "show", "bob@globex.test")["id"].(string)+"\" has it\n"+
		"0 of 2 users added, 0 existed already, 2 cannot be added\n", file)
	want(t, "what exists", s.ok("user", "import", file, "--skip-existing"), "0 of 2 users added, 2 existed already, 0 cannot be added\n")

	lines := s.file("users.jsonl", `{"email":"eve@globex.test","roles":["king"]}`+"\n"+`{"email":"ada@globex.test"}`+"\n"+
		`{"email":"eve","name":"E\u001b[2J","password_hash":"secret"}`+"\n\n"+`{"email":"carl@globex.test"}`+"\n")
	const bad = `line 1: roles "king": there is no such role; there are admin, app-admin, auditor, support` + "\n" +
		`line 3: email "eve": want an address like ada@example.com, without a name` + "\n" +
		`line 3: name "E\x1b[2J": has control characters` + "\n" +
		`line 3: password_hash: want a bcrypt hash ($2a$, $2b$ or $2y$) or an argon2id hash ($argon2id$v=19$m=...,t=...,p=...$salt$hash)` + "\n"
	fails("2 of 4 users cannot be added", bad+"0 of 4 users added, 1 existed already, 2 cannot be added\n", lines, "--skip-existing")
	fails("2 of 4 users cannot be added", bad+"0 of 4 users would be added, 1 existed already, 2 cannot be added\n", lines, "--skip-existing", "--dry-run")
	fails(`users.jsonl: line 1: it cannot be told where the row ends`, "", lines, "--format", "csv")
	want(t, "without the bad, dry", s.ok("user", "import", lines, "--skip-existing", "--skip-bad", "--dry-run"), bad+"1 of 4 users would be added, 1 existed already, 2 cannot be added\n")
	want(t, "without the bad", s.ok("user", "import", lines, "--skip-existing", "--skip-bad"), bad+"1 of 4 users added, 1 existed already, 2 cannot be added\n")
	want(t, "users", len(s.list("user", "list")), 3)

	out, err := s.run(`[{"email":"dora@globex.test"},{"email":"dora","sub":"1"}]`, "user", "import", "-", "--format", "json", "--skip-bad", "--json")
	var got, wanted any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal([]byte(`{"dry_run": false, "users": 2, "created": 1, "existing": 0, "bad": 1, "problems": [
		{"line": 1, "object": 2, "field": "field", "value": "sub", "problem": "there is no such field; there are address, birthdate, email, email_verified, family_name, gender, given_name, id, locale, middle_name, name, never_impersonate, nickname, organizations, password_hash, phone_number, phone_number_verified, picture, preferred_username, profile, roles, status, website, zoneinfo"},
		{"line": 1, "object": 2, "field": "email", "value": "dora", "problem": "want an address like ada@example.com, without a name"}]}`), &wanted)
	want(t, "JSON", got, wanted)
	want(t, "exit", err, nil)

	fails(`column "emial": there is no such field; did you mean email?`, "", s.file("bad.csv", "emial\nx@y.test\n"))
	fails("users.txt: is empty", "", s.file("users.txt", ""))
}
