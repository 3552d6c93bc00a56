package storage

import (
	"context"
	"sync"
	"time"
)

// ClientStatus says whether a client may be used.
type ClientStatus string

// The statuses of a client.
const (
	ClientActive   ClientStatus = "active"
	ClientDisabled ClientStatus = "disabled"
)

// What a client's users are called: the same everywhere, or something else at
// each sector (OpenID Connect Core 8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// Client is an OAuth client with its RFC 7591 metadata and what it allows staff to do.
type Client struct {
	ID                                 string `gorm:"primaryKey"`
	Name                               string
	Type                               string // web, spa, native or service
	Status                             ClientStatus
	SecretHash                         []byte // SHA-256 of a generated 256-bit secret
	PreviousSecretHash                 []byte // the one before, until it is dropped
	TokenEndpointAuthMethod            string
	RedirectURIs                       List `gorm:"column:redirect_uris"`
	PostLogoutRedirectURIs             List `gorm:"column:post_logout_redirect_uris"`
	GrantTypes                         List
	ResponseTypes                      List
	Scope                              string // space-separated: what may be asked for
	Audience                           List   // resources that tokens may be for
	Organizations                      List   // when not empty: only their members sign in here
	RequirePKCE                        bool   `gorm:"column:require_pkce"`
	FirstParty                         bool   // no consent page for ordinary scopes
	IDTokenSignedResponseAlg           string `gorm:"column:id_token_signed_response_alg"`
	AccessTokenFormat                  string // jwt or opaque
	JWKS                               string `gorm:"column:jwks"`
	JWKSURI                            string `gorm:"column:jwks_uri"`
	ClientURI                          string `gorm:"column:client_uri"`
	LogoURI                            string `gorm:"column:logo_uri"`
	PolicyURI                          string `gorm:"column:policy_uri"`
	TermsOfServiceURI                  string `gorm:"column:tos_uri"`
	Contacts                           List
	SoftwareID                         string
	SoftwareVersion                    string
	InitiateLoginURI                   string `gorm:"column:initiate_login_uri"`
	BackchannelLogoutURI               string `gorm:"column:backchannel_logout_uri"`
	AllowImpersonation                 bool
	Delivery                           string // initiate_login, callback or link
	ReadOnlyScopes                     List
	ActClaims                          List   // what act holds beside sub: email, name
	ImpersonationRefresh               bool   // impersonations may get refresh tokens
	ImpersonatorInResponse             bool   // token responses name actor and reason
	TokenEndpointAuthSigningAlg        string // of its assertions; empty: any that is supported
	RequestObjectSigningAlg            string // empty: it sends no request objects
	RequestURIs                        List   `gorm:"column:request_uris"` // where request objects may be fetched from
	RequireSignedRequestObject         bool
	RequirePushedAuthorizationRequests bool
	UserinfoSignedResponseAlg          string // empty: plain JSON
	SubjectType                        string // public or pairwise
	SectorIdentifierURI                string `gorm:"column:sector_identifier_uri"`
	DefaultMaxAge                      *int64 // seconds, where a request has no max_age; nil: none
	BackchannelLogoutSessionRequired   bool
	RevokeOnLogout                     bool   // signing out ends what it was granted, refresh tokens included
	RegistrationTokenHash              []byte // of the token with which it changes itself; nil: it cannot
	RegisteredWith                     string // the initial access token, or "open"; empty: an operator did
	Version                            int64
	CreatedAt                          Time `gorm:"autoCreateTime:false"`
	UpdatedAt                          Time `gorm:"autoUpdateTime:false"`
}

// Public reports whether the client cannot keep a secret.
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == "none" }

// clientCache remembers clients by id. A client is used only after its version
// was compared with the row's, so that a change made elsewhere is never missed.
type clientCache struct {
	mu sync.RWMutex
	by map[string]*Client
}

const clientCacheSize = 4096

func (c *clientCache) get(id string) *Client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.by[id]
}

func (c *clientCache) put(client *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= clientCacheSize {
		c.by = map[string]*Client{}
	}
	c.by[client.ID] = client
}

// Client returns the client with the given id, disabled or not, or ErrNotFound.
// The caller must not change it.
func (s *Store) Client(ctx context.Context, id string) (*Client, error) {
	cached := s.clients.get(id)
	if cached == nil {
		cached = &Client{ID: id}
	}
	c, err := s.ClientAgain(ctx, cached)
	if err != nil {
		return nil, err
	}
	if c != cached {
		s.clients.put(c)
	}
	return c, nil
}

// ClientAgain returns a client that was read before as the database has it now, or
// ErrNotFound: the very same where nobody has changed it, which costs less than to read
// it. The caller must not change it.
func (q Queries) ClientAgain(ctx context.Context, known *Client) (*Client, error) {
	if known.Version > 0 {
		var version int64
		var created Time // a client that was deleted and made again begins at version 1 again
		err := q.scan(ctx, []any{&version, &created}, `SELECT version, created_at FROM clients WHERE id = ?`, known.ID)
		if err != nil {
			return nil, translate(err)
		}
		if version == known.Version && created == known.CreatedAt {
			return known, nil
		}
	}
	return q.Client(ctx, known.ID)
}

// Client returns the client with the given id as the database has it, or ErrNotFound.
func (q Queries) Client(ctx context.Context, id string) (*Client, error) {
	var c Client
	if err := q.conn(ctx).Take(&c, "id = ?", id).Error; err != nil {
		return nil, translate(err)
	}
	return &c, nil
}

// ClientsAmong returns those of the ids that are a client's.
func (q Queries) ClientsAmong(ctx context.Context, ids []string) ([]string, error) {
	var found []string
	err := q.conn(ctx).Raw(`SELECT id FROM clients WHERE id IN `+q.among(), List(ids)).Scan(&found).Error
	return found, translate(err)
}

// Clients returns all clients by id.
func (q Queries) Clients(ctx context.Context) ([]Client, error) {
	var all []Client
	err := q.conn(ctx).Order("id").Find(&all).Error
	return all, translate(err)
}

// ClientSearch selects clients. Zero values select all.
type ClientSearch struct {
	Text   string // part of the name, or the whole id
	Type   string
	Status ClientStatus
	At     *NamePlace
	Limit  int
}

// SearchClients returns a page of the matching clients by name, and whether there
// are more in its direction.
func (q Queries) SearchClients(ctx context.Context, s ClientSearch) ([]Client, bool, error) {
	db := containing(q.conn(ctx).Model(&Client{}), "name", "id", s.Text)
	if s.Type != "" {
		db = db.Where("type = ?", s.Type)
	}
	if s.Status != "" {
		db = db.Where("status = ?", s.Status)
	}
	return pageByName[Client](db, s.At, s.Limit, "name", "id")
}

// CreateClient adds a client. ErrExists: the id is taken.
func (tx *Tx) CreateClient(ctx context.Context, c *Client, now time.Time) error {
	if c.Status == "" {
		c.Status = ClientActive
	}
	if c.SubjectType == "" {
		c.SubjectType = SubjectPublic
	}
	c.Version, c.CreatedAt, c.UpdatedAt = 1, At(now), At(now)
	return translate(tx.conn(ctx).Create(c).Error)
}

// HoldClient notes that somebody may know what a client authenticates with. It is kept when
// the client is deleted: nobody hides behind what it has made. Another client that gets
// its id has these holders, too. An empty holder is an operator, of whom nothing is noted.
func (tx *Tx) HoldClient(ctx context.Context, clientID, holder string) error {
	if holder == "" {
		return nil
	}
	_, err := tx.exec(ctx, `INSERT INTO client_holders (client_id, holder_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, clientID, holder)
	return err
}

// UpdateClient stores all of c, provided that it is still at c.Version;
// ErrSpent otherwise. A client that no longer allows impersonation, or is
// disabled, loses those that run (SECURITY A07); one that is disabled also its
// grants and tokens. c itself stays at its version: the Write may run again.
func (tx *Tx) UpdateClient(ctx context.Context, c *Client, by Cause, now time.Time) error {
	next := *c
	next.Version, next.UpdatedAt = c.Version+1, At(now)
	res := tx.conn(ctx).Model(&Client{}).Where("id = ? AND version = ?", c.ID, c.Version).
		Select("*").Omit("id", "created_at").UpdateColumns(&next)
	if res.Error != nil {
		return translate(res.Error)
	}
	if res.RowsAffected == 0 {
		return ErrSpent
	}
	if c.Status == ClientDisabled {
		if err := tx.revokeClient(ctx, c.ID, now); err != nil {
			return err
		}
	}
	if c.AllowImpersonation && c.Status == ClientActive {
		return nil
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{Client: c.ID}, by.With(EndClientDisallowed), now)
}

// DeleteClient removes a client, its consents and everything granted to it.
func (tx *Tx) DeleteClient(ctx context.Context, id string, by Cause, now time.Time) error {
	if err := tx.EndImpersonations(ctx, ImpersonationFilter{Client: id}, by.With(EndClientDisallowed), now); err != nil {
		return err
	}
	if err := tx.revokeClient(ctx, id, now); err != nil {
		return err
	}
	if err := tx.dropNotices(ctx, id, now); err != nil {
		return err
	}
	if err := tx.keepMakers(ctx, id); err != nil {
		return err
	}
	res := tx.conn(ctx).Exec(`DELETE FROM clients WHERE id = ?`, id)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}

// keepMakers keeps who made the API keys that stand in for a client and go with it: they may
// have made others.
func (tx *Tx) keepMakers(ctx context.Context, clientID string) error {
	_, err := tx.exec(ctx, `INSERT INTO client_holders (client_id, holder_id) SELECT id, created_by FROM api_keys
		WHERE client_id = ? AND created_by <> '' ON CONFLICT DO NOTHING`, clientID)
	return err
}

// revokeClient ends what a client was granted and what it holds for itself.
func (tx *Tx) revokeClient(ctx context.Context, id string, now time.Time) error {
	if err := tx.revokeGrants(ctx, now, "client_id = ?", id); err != nil {
		return err
	}
	return translate(tx.conn(ctx).Exec(`DELETE FROM tokens WHERE client_id = ? AND grant_id = ''`, id).Error)
}
