package templates

import (
	"strings"
)

// SnippetFor is the application that snippets are for.
type SnippetFor struct {
	Issuer       string
	Secret       bool // it has one
	Service      bool // nobody signs in to it
	RedirectURIs []string
	Scope        string
}

// ClientSnippets returns code to begin with: for the command line, for Go and for Node.
func ClientSnippets(f SnippetFor) []Snippet {
	redirect := "https://app.example.com/callback"
	if len(f.RedirectURIs) > 0 {
		redirect = f.RedirectURIs[0]
	}
	goSecret, nodeSecret := "", "undefined, client.None()"
	if f.Secret {
		goSecret, nodeSecret = "\n\tClientSecret: os.Getenv(\"CLIENT_SECRET\"),", "process.env.CLIENT_SECRET"
	}
	fill := strings.NewReplacer(
		"ISSUER_URL", f.Issuer, "REDIRECT", redirect, "GO_SECRET", goSecret, "NODE_SECRET", nodeSecret, "SCOPE", f.Scope,
	).Replace
	curl, golang, node := snippetCurl, snippetGo, snippetNode
	if f.Service {
		curl, golang, node = snippetServiceCurl, snippetServiceGo, snippetServiceNode
	}
	return []Snippet{
		{"snippet-curl", "curl", fill(curl)},
		{"snippet-go", "Go: go-oidc", fill(golang)},
		{"snippet-node", "Node: openid-client", fill(node)},
	}
}

const snippetCurl = `curl -s ISSUER_URL/.well-known/openid-configuration
`

const snippetGo = `provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
if err != nil {
	return err
}
config := oauth2.Config{
	ClientID:     os.Getenv("CLIENT_ID"),GO_SECRET
	Endpoint:     provider.Endpoint(),
	RedirectURL:  "REDIRECT",
	Scopes:       strings.Fields("SCOPE"),
}
verifier := provider.Verifier(&oidc.Config{ClientID: config.ClientID})
`

const snippetNode = `import * as client from 'openid-client'

const config = await client.discovery(new URL(process.env.ISSUER), process.env.CLIENT_ID, NODE_SECRET)
const code_verifier = client.randomPKCECodeVerifier()
const to = client.buildAuthorizationUrl(config, {
  redirect_uri: 'REDIRECT',
  scope: 'SCOPE',
  state: client.randomState(),
  code_challenge: await client.calculatePKCECodeChallenge(code_verifier),
  code_challenge_method: 'S256',
})
`

const snippetServiceCurl = `curl -s ISSUER_URL/oauth2/token -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials
`

const snippetServiceGo = `config := clientcredentials.Config{
	ClientID:     os.Getenv("CLIENT_ID"),
	ClientSecret: os.Getenv("CLIENT_SECRET"),
	TokenURL:     "ISSUER_URL/oauth2/token",
}
token, err := config.Token(ctx)
`

const snippetServiceNode = `import * as client from 'openid-client'

const config = await client.discovery(new URL(process.env.ISSUER), process.env.CLIENT_ID, process.env.CLIENT_SECRET)
const tokens = await client.clientCredentialsGrant(config)
`
