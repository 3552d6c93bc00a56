// Package dialects_test runs the published SDKs of other vendors, unmodified, against a
// real provider.
package dialects_test

import (
	"context"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/examples/nodetest"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

const (
	redirectURI = "https://shop.example/callback"
	startURI    = "https://shop.example/login"
)

// scripts by the directory they are in, each with an application of its own, and whom
// they act as, in which organization.
var scripts = []struct {
	name, subject, organization string
	change                      func(*storage.Client)
}{
	{"clerk", "ada", "org_globex", func(c *storage.Client) { c.InitiateLoginURI = startURI }},
	{"workos", "ada", "org_globex", func(c *storage.Client) { c.ImpersonationRefresh = true }},
	{"descope", "linus", "org_initech", func(*storage.Client) {}}, // who says what staff may do
	{"auth0", "ada", "org_globex", func(c *storage.Client) {
		c.TokenEndpointAuthMethod = "client_secret_post"
		c.Delivery, c.ResponseTypes = provider.DeliveryCallback, storage.List{"code", "id_token token"}
		c.GrantTypes = append(c.GrantTypes, "implicit")
	}},
}

// Every SDK does all that it can about acting as somebody, and throws its own errors.
func TestDialects(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		return // they need Node.js, and a registry the first time
	}
	server := httptest.NewUnstartedServer(nil)
	issuer := "https://" + server.Listener.Addr().String()
	o := idptest.Options{Issuer: issuer, Provider: provider.Config{Impersonation: idptest.Limits()}}
	for _, script := range scripts {
		o.Handlers.Dialects = append(o.Handlers.Dialects, script.name)
	}
	idp := idptest.New(t, o)
	server.Config.Handler = idp.Handler
	server.StartTLS() // Auth0's SDK speaks to nobody otherwise
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	keepRecord(t, idp)
	desk := idptest.Service()
	desk.ID, desk.Scope, desk.Audience, desk.TokenEndpointAuthMethod = "desk", "users:read impersonation:start", storage.List{issuer}, "client_secret_post"
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateClient(ctx, desk, time.Now()) })
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			client := "shop-" + script.name
			register(t, idp, client, script.change)
			program := nodetest.Program(t, script.name, "script.mjs")
			program.Env = append(os.Environ(),
				"NODE_EXTRA_CA_CERTS="+authority, "ISSUER="+issuer, "CLIENT_ID="+client, "CLIENT_SECRET="+idptest.Secret, "SERVICE_ID=desk",
				"API_KEY="+apiKey(t, idp, client), "REDIRECT_URI="+redirectURI, "PASSWORD="+idptest.Password, "TENANT="+script.organization,
				"ACTOR=sam@example.test", "ACTOR_ID=usr_sam", "SUBJECT="+script.subject+"@example.test", "SUBJECT_ID=usr_"+script.subject)
			stop := time.AfterFunc(10*time.Minute, func() { _ = program.Process.Kill() })
			defer stop.Stop()
			said, err := program.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(said), "done\n") {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// keepRecord gives events their place on the record while the test runs, as a server
// does.
func keepRecord(t *testing.T, idp *idptest.IDP) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- idp.Auditor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// register makes an application of its own for a script.
func register(t *testing.T, idp *idptest.IDP, id string, change func(*storage.Client)) {
	t.Helper()
	c := idptest.App()
	c.ID, c.Name, c.RequirePKCE, c.RedirectURIs = id, id, false, storage.List{redirectURI}
	c.IDTokenSignedResponseAlg = "RS256" // the default, and all that Clerk's SDK verifies
	change(c)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateClient(ctx, c, time.Now()) })
}

// apiKey makes the API key that takes the place of the vendor's.
func apiKey(t *testing.T, idp *idptest.IDP, client string) string {
	t.Helper()
	return idp.MakeKey(t, storage.APIKey{Name: "Helpdesk", ClientID: &client, Permissions: storage.List{
		"users:read", "users:write", "impersonation:start", "impersonation:read", "impersonation:stop_any", "events:read",
	}})
}
