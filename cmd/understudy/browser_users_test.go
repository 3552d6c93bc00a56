package main

// userPages leads an administrator who has just signed in through the pages about users.
func userPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	users := d.providerURL + "/admin/users"
	b.open(users, "#users table")
	visit(b, "console-users")
	b.write("#q", "grace")
	b.until(`document.querySelectorAll("#users tbody tr").length == 1 && location.search.includes("q=grace")`)
	b.read("#users-count", "1 shown")
	b.open(users+"?q=nobody", "#users .empty")
	visit(b, "console-users-nobody")
	b.open(users+"/usr_ada", "#impersonate")
	visit(b, "console-user")
	b.open(users+"/new", "#user-form")
	b.write("#email", "nobody")
	b.click("#email_verified")
	b.click("#user-submit")
	b.see("#error-summary [href='#email']")
	visit(b, "console-user-new")
	b.open(users+"/import", "#import-form")
	b.write("#text", "email\nada@globex.test\nnew@globex.test\nada")
	b.click("#import-check")
	b.see("#report li")
	visit(b, "console-user-import")
	for _, name := range []string{"edit", "grant", "disable", "delete", "password"} {
		b.open(users+"/usr_ada/"+name, "main form")
		visit(b, "console-user-"+name)
	}
	b.click("footer [value=de]")
	b.until(`document.documentElement.lang == "de"`)
	b.open(users+"/usr_sam", "main")
	visit(b, "console-user-german")
	b.open(users, "#users table")
	visit(b, "console-users-german")
	b.click("footer [value=en]")
	b.until(`document.documentElement.lang == "en"`)
	b.open(users+"/usr_linus/password", "#danger-form")
	b.click("#danger-submit")
	b.see("#new-password")
	visit(b, "console-user-new-password")
}
