package main

// recordPages visits the console's overview and its pages about the record, the keys
// and the settings, as an administrator who is not signed in yet.
func recordPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	b.open(d.providerURL+"/admin", "#login-form")
	b.signIn("root@understudy.test", demoPassword)
	b.see("#running")
	visit(b, "console-overview")
	b.open(d.providerURL+"/admin/events", "#event-filter")
	visit(b, "console-events")
	b.click("#results details summary")
	b.see("#results details pre")
	visit(b, "console-events-open")
	b.open(d.providerURL+"/admin/events?actor=nobody&from=x", "#error-summary")
	visit(b, "console-events-wrong")
	b.open(d.providerURL+"/admin/events/verification", "#verify-form")
	b.click("#verify-form button")
	b.see(".notice.done")
	visit(b, "console-verification")
	b.open(d.providerURL+"/admin/keys", "#rotate-form")
	visit(b, "console-keys")
	b.open(d.providerURL+"/admin/keys/replace", "#replace-form")
	visit(b, "console-keys-replace")
	b.open(d.providerURL+"/admin/settings", "#rule-form")
	visit(b, "console-settings")
	b.open(d.providerURL+"/admin/settings/acting", "#acting-form")
	visit(b, "console-settings-acting")
}
