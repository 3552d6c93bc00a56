package main

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// What everybody knows about the demo.
const (
	demoClient   = "demo-app"
	demoPassword = "understudy-demo"
)

// demoPerson is somebody who lives in the demo.
type demoPerson struct {
	id, email, given, family, role string
	organizations                  []string
}

var demoOrganizations = map[string]string{"org_understudy": "Understudy", "org_globex": "Globex", "org_initech": "Initech"}

var demoPeople = []demoPerson{
	{"usr_root", "root@understudy.test", "Root", "Admin", "admin", []string{"org_understudy"}},
	{"usr_sam", "sam@understudy.test", "Sam", "Support", "support", []string{"org_understudy"}},
	{"usr_olga", "olga@understudy.test", "Olga", "Auditor", "auditor", []string{"org_understudy"}},
	{"usr_ada", "ada@globex.test", "Ada", "Lovelace", "", []string{"org_globex"}},
	{"usr_grace", "grace@globex.test", "Grace", "Hopper", "", []string{"org_globex", "org_initech"}},
	{"usr_linus", "linus@initech.test", "Linus", "Torvalds", "", []string{"org_initech"}},
	{"usr_alan", "alan@globex.test", "Alan", "Turing", "", []string{"org_globex"}},
	{"usr_barbara", "barbara@globex.test", "Barbara", "Liskov", "", []string{"org_globex"}},
	{"usr_donald", "donald@initech.test", "Donald", "Knuth", "", []string{"org_initech"}},
	{"usr_edsger", "edsger@initech.test", "Edsger", "Dijkstra", "", []string{"org_initech"}},
	{"usr_frances", "frances@globex.test", "Frances", "Allen", "", []string{"org_globex"}},
	{"usr_katherine", "katherine@globex.test", "Katherine", "Johnson", "", []string{"org_globex"}},
	{"usr_margaret", "margaret@initech.test", "Margaret", "Hamilton", "", []string{"org_initech"}},
	{"usr_radia", "radia@initech.test", "Radia", "Perlman", "", []string{"org_initech"}},
	{"usr_tim", "tim@nowhere.test", "Tim", "Berners-Lee", "", nil},
}

// seedDemo fills a new database and returns the people by e-mail address and the
// application's secret.
func seedDemo(ctx context.Context, store *storage.Store, appURL string) (people map[string]string, secret string, err error) {
	hash, err := provider.HashPassword(demoPassword) // once: it is the same for all
	if err != nil {
		return nil, "", err
	}
	secret, people = provider.NewSecret("ucs_"), map[string]string{}
	now := time.Now()
	return people, secret, store.Write(ctx, func(tx *storage.Tx) error {
		for id, name := range demoOrganizations {
			if err := tx.CreateOrganization(ctx, &storage.Organization{ID: id, Name: name}, now); err != nil {
				return err
			}
		}
		for _, p := range demoPeople {
			if err := p.create(ctx, tx, hash, now); err != nil {
				return err
			}
			people[p.email] = p.id
		}
		if err := tx.CreateClient(ctx, demoApplication(appURL, secret), now); err != nil {
			return err
		}
		return tx.EnableImpersonation(ctx, true, storage.Cause{}, now)
	})
}

func (p demoPerson) create(ctx context.Context, tx *storage.Tx, hash string, now time.Time) error {
	name := p.given + " " + p.family
	u := &storage.User{
		ID: p.id, Email: p.email, EmailVerified: true, Name: name, GivenName: p.given, FamilyName: p.family,
		MiddleName: "Quincy", Nickname: p.given, PreferredUsername: p.id[len("usr_"):],
		Profile: "https://people.understudy.test/" + p.id, Picture: "https://people.understudy.test/" + p.id + ".png",
		Website: "https://" + p.id[len("usr_"):] + ".understudy.test", Gender: "unspecified", Birthdate: "1990-01-02",
		Zoneinfo: "Europe/Berlin", Locale: "en-GB", PhoneNumber: "+49 30 1234567", PhoneNumberVerified: true,
		Address:      `{"formatted":"1 Example Street\n10115 Berlin\nGermany","street_address":"1 Example Street","locality":"Berlin","postal_code":"10115","country":"Germany"}`,
		PasswordHash: hash, PasswordChangedAt: storage.At(now),
	}
	if err := tx.CreateUser(ctx, u, now); err != nil {
		return err
	}
	for _, o := range p.organizations {
		if err := tx.AddMember(ctx, o, p.id, "", now); err != nil {
			return err
		}
	}
	if p.role != "" {
		if err := tx.GrantRole(ctx, p.id, p.role, now); err != nil {
			return err
		}
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventUserCreated, SubjectID: p.id, Data: storage.Data{"demo": true},
	}, storage.Private{}, storage.Request{}, now)
}

func demoApplication(url, secret string) *storage.Client {
	return &storage.Client{
		ID: demoClient, Name: "Demo App", Type: "web", SecretHash: storage.Hash(secret),
		TokenEndpointAuthMethod: "client_secret_basic",
		RedirectURIs:            storage.List{url + "/callback"}, PostLogoutRedirectURIs: storage.List{url + "/"},
		GrantTypes: storage.List{"authorization_code", "refresh_token", grantTokenExchange}, ResponseTypes: storage.List{"code"},
		Scope:       "openid profile email address phone offline_access invoices:read invoices:write",
		RequirePKCE: true, FirstParty: true, IDTokenSignedResponseAlg: "ES256", AccessTokenFormat: "jwt",
		ClientURI: url + "/", InitiateLoginURI: url + "/initiate-login", BackchannelLogoutURI: url + "/backchannel-logout",
		AllowImpersonation: true, Delivery: "initiate_login", ReadOnlyScopes: storage.List{"invoices:read"},
		ActClaims: storage.List{"name"}, ImpersonatorInResponse: true,
	}
}
