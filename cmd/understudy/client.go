package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newClientCmd() *cobra.Command {
	return group("client", "Applications that people sign in to, and services",
		newClientCreateCmd(), newClientListCmd(), newClientShowCmd(), newClientUpdateCmd(),
		newClientRotateSecretCmd(), newClientDropSecretCmd(), newClientDeleteCmd(), newRegistrationTokenCmd())
}

// clientRecord is a client as --json shows it; the secret is there once, when it
// is new.
type clientRecord struct {
	provider.Metadata
	Secret string `json:"client_secret,omitempty"`
}

func showClient(cmd *cobra.Command, c *storage.Client, secret string) error {
	r := clientRecord{provider.MetadataOf(c), secret}
	return show(cmd, r, func(w io.Writer) error { return record(w, r) })
}

// findClient returns a copy that may be changed, as the database has it.
func findClient(ctx context.Context, store *storage.Store, id string) (*storage.Client, error) {
	c, err := store.Queries.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("client %q: there is none with this id", id)
	}
	return c, err
}

// clientFlags are those that create and update have in common.
type clientFlags struct {
	c                        storage.Client // where the flags go
	jwksFile                 string
	withoutPKCE              bool
	redirects, postLogout    []string
	grantTypes, responses    []string
	audience, organizations  []string
	readOnlyScopes, actNames []string
	requestURIs              []string
	maxAge                   int64
}

func (o *clientFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.c.Name, "name", "", "name that people see")
	f.StringArrayVar(&o.redirects, "redirect-uri", nil, "where answers may be sent, byte for byte; may be repeated")
	f.StringArrayVar(&o.postLogout, "post-logout-redirect-uri", nil, "where people may be sent after signing out; may be repeated")
	f.StringArrayVar(&o.grantTypes, "grant-type", nil, "authorization_code, implicit, refresh_token, client_credentials or urn:ietf:params:oauth:grant-type:token-exchange; may be repeated")
	f.StringArrayVar(&o.responses, "response-type", nil, "code, or one with tokens from the authorization endpoint such as 'code id_token'; may be repeated")
	f.StringVar(&o.c.Scope, "scope", "", "scopes that may be asked for, with spaces between them")
	f.StringArrayVar(&o.audience, "audience", nil, "resource that access tokens may be for; may be repeated")
	f.StringArrayVar(&o.organizations, "organization", nil, "only members of it sign in, by id or name; may be repeated")
	f.StringVar(&o.c.TokenEndpointAuthMethod, "auth-method", "", "client_secret_basic, client_secret_post, private_key_jwt or none")
	f.StringVar(&o.jwksFile, "jwks-file", "", "file with the client's JSON Web Key Set: public keys only")
	f.StringVar(&o.c.JWKSURI, "jwks-uri", "", "where the client publishes its JSON Web Key Set")
	f.StringVar(&o.c.IDTokenSignedResponseAlg, "id-token-alg", "", "RS256 or ES256")
	f.StringVar(&o.c.AccessTokenFormat, "access-token", "", "jwt or opaque")
	f.StringVar(&o.c.UserinfoSignedResponseAlg, "userinfo-alg", "", "RS256 or ES256; empty answers plain JSON")
	f.StringVar(&o.c.TokenEndpointAuthSigningAlg, "auth-signing-alg", "", "what its assertions are signed with: RS256, PS256, ES256 or EdDSA; empty accepts each")
	f.StringVar(&o.c.RequestObjectSigningAlg, "request-object-alg", "", "accept request objects signed with RS256, PS256, ES256 or EdDSA")
	f.StringArrayVar(&o.requestURIs, "request-uri", nil, "where its request objects may be fetched from; may be repeated")
	f.BoolVar(&o.c.RequireSignedRequestObject, "require-signed-request", false, "accept authorization requests in signed request objects only")
	f.BoolVar(&o.c.RequirePushedAuthorizationRequests, "require-par", false, "accept authorization requests that were pushed only")
	f.StringVar(&o.c.SubjectType, "subject-type", "", "public or pairwise")
	f.StringVar(&o.c.SectorIdentifierURI, "sector-identifier-uri", "", "where the redirect URIs of its sector are listed")
	f.Int64Var(&o.maxAge, "default-max-age", -1, "seconds after which people sign in again, where a request says nothing; -1: none")
	f.BoolVar(&o.c.RevokeOnLogout, "revoke-on-logout", false, "signing out ends its tokens, refresh tokens included")
	f.StringVar(&o.c.InitiateLoginURI, "initiate-login-uri", "", "where a sign-in that began here is sent to")
	f.StringVar(&o.c.BackchannelLogoutURI, "backchannel-logout-uri", "", "where the client hears that a session ended")
	f.StringVar(&o.c.ClientURI, "client-uri", "", "home page")
	f.StringVar(&o.c.LogoURI, "logo-uri", "", "logo")
	f.StringVar(&o.c.PolicyURI, "policy-uri", "", "privacy policy")
	f.StringVar(&o.c.TermsOfServiceURI, "tos-uri", "", "terms of service")
	f.BoolVar(&o.c.AllowImpersonation, "allow-impersonation", false, "staff may sign in to it as one of its users")
	f.BoolVar(&o.c.ImpersonationRefresh, "impersonation-refresh", false, "an impersonation may get a refresh token")
	f.StringVar(&o.c.Delivery, "delivery", "", "how the console hands over: initiate_login, callback or link")
	f.StringArrayVar(&o.readOnlyScopes, "read-only-scope", nil, "scope of read-only impersonations; may be repeated")
	f.StringArrayVar(&o.actNames, "act-claim", nil, "what act says of the actor besides sub: email, name; may be repeated")
	f.BoolVar(&o.c.ImpersonatorInResponse, "impersonator-in-response", true, "token responses of impersonations name the actor's e-mail address and the reason")
	f.BoolVar(&o.withoutPKCE, "no-require-pkce", false, "accept requests without a code challenge (with a secret only)")
	f.BoolVar(&o.c.FirstParty, "first-party", false, "do not ask people for consent to ordinary scopes")
}

// apply puts the flags that were given into c.
func (o *clientFlags) apply(cmd *cobra.Command, c *storage.Client) error {
	if o.jwksFile != "" {
		set, err := readFile(cmd, o.jwksFile)
		if err != nil {
			return err
		}
		o.c.JWKS = strings.TrimSpace(string(set))
	}
	changed := cmd.Flags().Changed
	for name, set := range map[string]func(){
		"name":                     func() { c.Name = o.c.Name },
		"redirect-uri":             func() { c.RedirectURIs = o.redirects },
		"post-logout-redirect-uri": func() { c.PostLogoutRedirectURIs = o.postLogout },
		"grant-type":               func() { c.GrantTypes = o.grantTypes },
		"response-type":            func() { c.ResponseTypes = o.responses },
		"scope":                    func() { c.Scope = o.c.Scope },
		"audience":                 func() { c.Audience = o.audience },
		"organization":             func() { c.Organizations = o.organizations },
		"auth-method":              func() { c.TokenEndpointAuthMethod = o.c.TokenEndpointAuthMethod },
		"jwks-file":                func() { c.JWKS = o.c.JWKS },
		"jwks-uri":                 func() { c.JWKSURI = o.c.JWKSURI },
		"id-token-alg":             func() { c.IDTokenSignedResponseAlg = o.c.IDTokenSignedResponseAlg },
		"access-token":             func() { c.AccessTokenFormat = o.c.AccessTokenFormat },
		"userinfo-alg":             func() { c.UserinfoSignedResponseAlg = o.c.UserinfoSignedResponseAlg },
		"auth-signing-alg":         func() { c.TokenEndpointAuthSigningAlg = o.c.TokenEndpointAuthSigningAlg },
		"request-object-alg":       func() { c.RequestObjectSigningAlg = o.c.RequestObjectSigningAlg },
		"request-uri":              func() { c.RequestURIs = o.requestURIs },
		"require-signed-request":   func() { c.RequireSignedRequestObject = o.c.RequireSignedRequestObject },
		"require-par":              func() { c.RequirePushedAuthorizationRequests = o.c.RequirePushedAuthorizationRequests },
		"subject-type":             func() { c.SubjectType = o.c.SubjectType },
		"sector-identifier-uri":    func() { c.SectorIdentifierURI = o.c.SectorIdentifierURI },
		"default-max-age": func() {
			c.DefaultMaxAge = nil
			if o.maxAge >= 0 {
				c.DefaultMaxAge = &o.maxAge
			}
		},
		"revoke-on-logout":         func() { c.RevokeOnLogout = o.c.RevokeOnLogout },
		"initiate-login-uri":       func() { c.InitiateLoginURI = o.c.InitiateLoginURI },
		"backchannel-logout-uri":   func() { c.BackchannelLogoutURI = o.c.BackchannelLogoutURI },
		"client-uri":               func() { c.ClientURI = o.c.ClientURI },
		"logo-uri":                 func() { c.LogoURI = o.c.LogoURI },
		"policy-uri":               func() { c.PolicyURI = o.c.PolicyURI },
		"tos-uri":                  func() { c.TermsOfServiceURI = o.c.TermsOfServiceURI },
		"allow-impersonation":      func() { c.AllowImpersonation = o.c.AllowImpersonation },
		"impersonation-refresh":    func() { c.ImpersonationRefresh = o.c.ImpersonationRefresh },
		"delivery":                 func() { c.Delivery = o.c.Delivery },
		"read-only-scope":          func() { c.ReadOnlyScopes = o.readOnlyScopes },
		"act-claim":                func() { c.ActClaims = o.actNames },
		"impersonator-in-response": func() { c.ImpersonatorInResponse = o.c.ImpersonatorInResponse },
		"no-require-pkce":          func() { c.RequirePKCE = !o.withoutPKCE },
		"first-party":              func() { c.FirstParty = o.c.FirstParty },
	} {
		if changed(name) {
			set()
		}
	}
	if changed("grant-type") && !changed("response-type") { // one follows from the other
		c.ResponseTypes = nil
		if slices.Contains(c.GrantTypes, "authorization_code") {
			c.ResponseTypes = storage.List{"code"}
		}
	}
	for _, list := range []*storage.List{
		&c.RedirectURIs, &c.PostLogoutRedirectURIs, &c.GrantTypes, &c.ResponseTypes, &c.Audience, &c.Organizations, &c.ReadOnlyScopes, &c.ActClaims,
		&c.RequestURIs,
	} {
		if len(*list) == 1 && (*list)[0] == "" { // --audience= empties it
			*list = nil
		}
	}
	return nil
}

// resolve turns the organizations that flags name into their ids.
func resolve(ctx context.Context, store *storage.Store, c *storage.Client) error {
	ids := make(storage.List, 0, len(c.Organizations))
	for _, name := range c.Organizations {
		o, err := findOrganization(ctx, store, name)
		if err != nil {
			return err
		}
		ids = append(ids, o.ID)
	}
	c.Organizations = ids
	return nil
}

func newClientCreateCmd() *cobra.Command {
	var o clientFlags
	var id, clientType, secretFile string
	cmd := jsonFlag(&cobra.Command{
		Use: "create --type TYPE --redirect-uri URI", Short: "Register a client; its secret is shown once", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := provider.NewClient(clientType)
			c.ID, c.Name = id, id
			if err := o.apply(cmd, c); err != nil {
				return err
			}
			if c.Name == "" {
				return usageError{errors.New("--name is missing")}
			}
			secret := ""
			if secretFile != "" {
				var err error
				if secret, err = readSecret(cmd, secretFile); err != nil {
					return err
				}
			}
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				if err := resolve(ctx, store, c); err != nil {
					return err
				}
				secret, err := provider.NewRegistration(store).Register(ctx, c, secret, operator(), time.Now())
				if err != nil {
					return err
				}
				if secretFile != "" {
					secret = "" // whoever chose it knows it
				}
				return showClient(cmd, c, secret)
			})
		},
	})
	o.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "client_id; made up where it is not given")
	cmd.Flags().StringVar(&clientType, "type", provider.ClientWeb, "web, spa, native or service")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file that holds the secret, at least 32 random characters; - is standard input")
	return cmd
}

func newClientListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List clients", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				clients, err := store.Clients(ctx)
				if err != nil {
					return err
				}
				all, rows := []provider.Metadata{}, [][]string{{"ID", "NAME", "TYPE", "STATUS", "AUTHENTICATION", "IMPERSONATION"}}
				for _, c := range clients {
					all = append(all, provider.MetadataOf(&c))
					impersonation := map[bool]string{true: "allowed", false: "no"}[c.AllowImpersonation]
					rows = append(rows, []string{c.ID, c.Name, c.Type, string(c.Status), c.TokenEndpointAuthMethod, impersonation})
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
}

func newClientShowCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "show CLIENT", Short: "Show a client", Args: named("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				c, err := findClient(ctx, store, args[0])
				if err != nil {
					return err
				}
				return showClient(cmd, c, "")
			})
		},
	})
}

func newClientUpdateCmd() *cobra.Command {
	var o clientFlags
	var status string
	var endSelfManagement bool
	cmd := jsonFlag(&cobra.Command{
		Use:   "update CLIENT",
		Short: "Change what the flags name; a flag that may be repeated replaces the whole list",
		Args:  named("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				c, err := findClient(ctx, store, args[0])
				if err != nil {
					return err
				}
				if err := o.apply(cmd, c); err != nil {
					return err
				}
				if status != "" {
					c.Status = storage.ClientStatus(status)
				}
				if endSelfManagement {
					c.RegistrationTokenHash = nil
				}
				if err := resolve(ctx, store, c); err != nil {
					return err
				}
				secret, err := provider.NewRegistration(store).Update(ctx, c, operator(), time.Now())
				if err != nil {
					return err
				}
				return showClient(cmd, c, secret)
			})
		},
	})
	o.add(cmd)
	cmd.Flags().StringVar(&status, "status", "", "active or disabled")
	cmd.Flags().BoolVar(&endSelfManagement, "end-self-management", false, "its registration access token is worth nothing any more, for good")
	return cmd
}

func newClientRotateSecretCmd() *cobra.Command {
	var drop bool
	cmd := jsonFlag(&cobra.Command{
		Use:   "rotate-secret CLIENT",
		Short: "Give a client a new secret; the present one works until the next rotation",
		Args:  named("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				if _, err := findClient(ctx, store, args[0]); err != nil {
					return err
				}
				secret, err := provider.NewRegistration(store).RotateSecret(ctx, args[0], !drop, operator(), time.Now())
				if err != nil {
					return err
				}
				r := struct {
					ID     string `json:"client_id"`
					Secret string `json:"client_secret"`
				}{args[0], secret}
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
	cmd.Flags().BoolVar(&drop, "revoke-previous", false, "the present secret ends now: it leaked")
	return cmd
}

func newClientDropSecretCmd() *cobra.Command {
	return &cobra.Command{
		Use: "drop-secret CLIENT", Short: "End the secret from before the last rotation", Args: named("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				if _, err := findClient(ctx, store, args[0]); err != nil {
					return err
				}
				return provider.NewRegistration(store).DropPreviousSecret(ctx, args[0], operator(), time.Now())
			})
		},
	}
}

func newClientDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use: "delete CLIENT", Short: "Remove a client and everything granted to it", Args: named("CLIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				if _, err := findClient(ctx, store, args[0]); err != nil {
					return err
				}
				return provider.NewRegistration(store).Delete(ctx, args[0], operator(), time.Now())
			})
		},
	}
}
