// Package clients_test runs the programs of this directory against a real
// provider, and plays the person with the browser.
package clients_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/examples/nodetest"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// secret has every character that HTTP Basic authentication needs encoded, or that
// libraries disagree about (RFC 6749 section 2.3.1).
const secret = "a+b/c d%e:f-_.~*'()!&=?ü"

// programs by the directory they are in.
var programs = []struct {
	name  string
	start func(t *testing.T, directory string) *exec.Cmd
	key   bool // it authenticates with private_key_jwt
}{
	{"go-oidc", goProgram, false}, // x/oauth2 signs no assertions
	{"openid-client-6", nodeProgram, false},
	{"openid-client-6", nodeProgram, true},
	{"openid-client-5", nodeProgram, false},
	{"openid-client-5", nodeProgram, true},
	{"oauth4webapi", nodeProgram, false},
	{"oauth4webapi", nodeProgram, true},
}

// Every library, unmodified, against everything a relying party does.
func TestClients(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	idp := idptest.New(t, idptest.Options{Issuer: issuer, Provider: provider.Config{Impersonation: idptest.Limits()}})
	server.Config.Handler = idp.Handler
	server.Start()
	t.Cleanup(server.Close)
	keyFile, jwks := clientKey(t)
	for _, program := range programs {
		if testing.Short() && program.name != "go-oidc" {
			continue // they need Node.js, and a registry the first time
		}
		client, credential := program.name, "CLIENT_SECRET="+secret
		if program.key {
			client, credential = program.name+" private_key_jwt", "CLIENT_KEY_FILE="+keyFile
		}
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			app := nodetest.Start(t, program.start(t, program.name), "ISSUER="+issuer, "CLIENT_ID="+client, credential)
			register(t, idp, client, app, func(c *storage.Client) {
				if program.key {
					c.SecretHash, c.TokenEndpointAuthMethod, c.JWKS = nil, "private_key_jwt", jwks
				}
			})
			for _, c := range stories {
				t.Run(c.name, func(t *testing.T) {
					c.play(&visitor{t: t, idp: idp, issuer: issuer, client: client, app: app})
				})
			}
		})
	}
}

// clientKey makes a key: as a file for the programs, and its public part as a JSON
// Web Key Set for the provider.
func clientKey(t *testing.T) (file, jwks string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: "key-1", Algorithm: "ES256", Use: "sig"}
	written, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, written, 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return file, string(public)
}

// register makes a client of the program, as `understudy client create` does.
func register(t *testing.T, idp *idptest.IDP, id, address string, change func(*storage.Client)) {
	t.Helper()
	c := idptest.App()
	c.ID, c.Name, c.FirstParty, c.SecretHash = id, id, false, storage.Hash(secret)
	c.RedirectURIs, c.PostLogoutRedirectURIs = storage.List{address + "/callback"}, storage.List{address + "/"}
	c.IDTokenSignedResponseAlg = "RS256"
	change(c)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateClient(ctx, c, time.Now()) })
}

func goProgram(t *testing.T, directory string) *exec.Cmd {
	t.Helper()
	nodetest.Sources(t, directory+"/*.go")
	binary := filepath.Join(t.TempDir(), directory)
	nodetest.Command(t, ".", 10*time.Minute, "go", "build", "-buildvcs=false", "-o", binary, "./"+directory)
	return exec.CommandContext(t.Context(), binary)
}

func nodeProgram(t *testing.T, directory string) *exec.Cmd {
	t.Helper()
	return nodetest.Program(t, directory, "app.mjs")
}
