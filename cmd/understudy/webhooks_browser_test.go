package main

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// webhookPages visits the pages about webhooks, as an administrator who is signed in:
// before there is one, with one, and with one that nobody answers.
func webhookPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	b.open(d.providerURL+"/admin/webhooks", "#webhook-form")
	visit(b, "console-webhooks-empty")
	hook := &storage.Webhook{URL: "http://127.0.0.1:1/a/rather/long/address/of/a/receiver/that/nobody/serves", Description: "Helpdesk", EventTypes: storage.List{"impersonation.*"}}
	_, err := provider.NewWebhooks(d.service.prov).Create(context.Background(), hook, storage.Cause{}, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.open(d.providerURL+"/admin/webhooks", "#webhook-form")
	visit(b, "console-webhooks")
	b.open(d.providerURL+"/admin/webhooks/"+hook.ID, "#test-form")
	visit(b, "console-webhook")
	if err := provider.NewWebhooks(d.service.prov).Delete(context.Background(), hook.ID, storage.Cause{}, time.Now()); err != nil {
		b.t.Fatal(err)
	}
}
