package config

import (
	"net/netip"
	"time"
)

// Config is the whole configuration. Its doc comments are the reference manual.
type Config struct {
	// The address of this provider, exactly as it appears in tokens and as
	// applications are told it. It cannot change later without signing everybody out.
	Issuer string `koanf:"issuer" validate:"required,issuer"`
	// Where the server accepts connections. An empty host (`:8080`) means every
	// interface; port 0 chooses a free one.
	Listen string `koanf:"listen" default:"127.0.0.1:8080" validate:"required,address"`
	// Where `/healthz`, `/readyz` and `/metrics` are served. Empty disables them.
	// Keep it off the public network: nothing here asks for a password.
	OpsListen string `koanf:"ops_listen" default:"127.0.0.1:9090" validate:"omitempty,address"`
	// The proxies in front of this server, as networks (`10.0.0.0/8`) or single
	// addresses. `X-Forwarded-For` is believed from these and from nobody else.
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies"`
	// The vendors whose APIs are spoken besides the standard protocols, so that their
	// published SDKs work unmodified: see `docs/moving-from-*.md`. Their addresses are
	// not there otherwise.
	Dialects []string `koanf:"dialects" validate:"unique,dive,oneof=clerk workos auth0 descope"`

	TLS           TLS           `koanf:"tls"`
	Database      Database      `koanf:"database"`
	Secrets       Secrets       `koanf:"secrets"`
	Tokens        Tokens        `koanf:"tokens"`
	Sessions      Sessions      `koanf:"sessions"`
	Keys          Keys          `koanf:"keys"`
	Registration  Registration  `koanf:"registration"`
	API           API           `koanf:"api"`
	Outgoing      Outgoing      `koanf:"outgoing"`
	Impersonation Impersonation `koanf:"impersonation"`
	Login         Login         `koanf:"login"`
	Mail          Mail          `koanf:"mail"`
	Log           Log           `koanf:"log"`
	Branding      Branding      `koanf:"branding"`

	sources map[string]string
}

// TLS lets the server speak HTTPS itself. Leave both out when a proxy in front does.
type TLS struct {
	// The certificate chain, PEM, the server's own certificate first.
	CertFile string `koanf:"cert_file" validate:"required_with=KeyFile,omitempty,file"`
	// The private key, PEM, readable by nobody but the server's user.
	KeyFile string `koanf:"key_file" validate:"required_with=CertFile,omitempty,file"`
}

// Database says where everything is kept.
type Database struct {
	// `sqlite:` and the path of a file, or the `postgres://` URL of a database.
	DSN DSN `koanf:"dsn" default:"sqlite:understudy.db" validate:"required,dsn"`
	// How many connections one server opens to PostgreSQL. SQLite ignores it.
	MaxConnections int `koanf:"max_connections" default:"8" validate:"min=1,max=1000"`
}

// Secrets holds what signing keys are encrypted with. Prefer a file
// of its own (`UNDERSTUDY_SECRETS__SYSTEM_FILE`) to writing one into the configuration.
type Secrets struct {
	// The secret all other keys are derived from or encrypted with. Make one with
	// `openssl rand -base64 32`. Losing it means losing the signing keys.
	System Secret `koanf:"system" validate:"required,long,unguessable"`
	// Earlier values of `secrets.system`, newest first, still needed to read what
	// was encrypted with them.
	Previous []Secret `koanf:"previous" validate:"unique,dive,long"`
}

// Tokens says how long things issued to applications live. A token of an
// impersonation never outlives the impersonation, whatever is set here.
type Tokens struct {
	// How long an access token is valid.
	AccessTokenLifetime time.Duration `koanf:"access_token_lifetime" default:"15m" validate:"min=1s,max=24h"`
	// How long an ID token is valid.
	IDTokenLifetime time.Duration `koanf:"id_token_lifetime" default:"15m" validate:"min=1s,max=24h"`
	// How long an application may take to exchange an authorization code.
	AuthorizationCodeLifetime time.Duration `koanf:"authorization_code_lifetime" default:"60s" validate:"min=1s,max=60s"`
	// A refresh token not used for this long expires.
	RefreshTokenIdle time.Duration `koanf:"refresh_token_idle" default:"336h" validate:"min=1m,max=8760h,ltefield=RefreshTokenLifetime"`
	// Refreshing ends this long after the sign-in, however often it was done.
	RefreshTokenLifetime time.Duration `koanf:"refresh_token_lifetime" default:"720h" validate:"min=1m,max=8760h"`
	// For this long a second use of a refresh token gets the same successor: the
	// application may have lost the answer. After it, reuse counts as theft and ends
	// everything that came of the sign-in. Impersonations have no such time. `0s` is strict.
	RefreshReuseLeeway time.Duration `koanf:"refresh_reuse_leeway" default:"10s" validate:"min=0s,max=10s"`
	// Whom an application that authenticates with `private_key_jwt` may name as `aud`:
	// the `issuer` only, which is safe when it signs in at several providers, or the URL
	// of the `token_endpoint`, too, as older libraries do.
	AssertionAudience string `koanf:"assertion_audience" default:"issuer" validate:"oneof=issuer token_endpoint"`
}

// Sessions says how long a browser stays signed in at this provider.
type Sessions struct {
	// A session not used for this long ends.
	Idle time.Duration `koanf:"idle" default:"1h" validate:"min=1m,max=720h,ltefield=Lifetime"`
	// A session ends this long after the sign-in, used or not.
	Lifetime time.Duration `koanf:"lifetime" default:"24h" validate:"min=1m,max=720h"`
	// The name of the session cookie, without prefix.
	CookieName string `koanf:"cookie_name" default:"understudy" validate:"required,cookiename"`
}

// Keys says how signing keys are replaced.
type Keys struct {
	// How old a signing key becomes before the next one takes its place. The next one
	// is published 24 hours earlier, and the old one stays in the key set until nothing
	// that it signed is of use any more. `0s` leaves rotation to `understudy key rotate`.
	RotationInterval time.Duration `koanf:"rotation_interval" default:"2160h" validate:"min=0s,max=87600h"`
}

// Registration says whether applications may register themselves (RFC 7591).
type Registration struct {
	// Who may register an application at `/oauth2/register`: nobody, whoever has an
	// initial access token from `understudy client registration-token create`, or everybody.
	Mode string `koanf:"mode" default:"off" validate:"oneof=off token open"`
	// The scopes that applications that registered themselves may ask for, with spaces
	// between them.
	Scope string `koanf:"scope" default:"openid profile email address phone offline_access" validate:"printable"`
}

// API sets the limits of the management API.
type API struct {
	// How many requests each caller may send in a second, in the long run; for a moment
	// it may be twice as many. Each server counts by itself.
	RequestsPerSecond int `koanf:"requests_per_second" default:"100" validate:"min=1,max=1000000"`
}

// Outgoing says whom this server may call: applications that publish keys or request
// objects, or want to hear that a session ended.
type Outgoing struct {
	// Networks (`10.0.0.0/8`) or addresses that may be called although they are private.
	// Public addresses may be called anyway. An issuer on a loopback address may call
	// loopback addresses, too.
	AllowedNetworks []netip.Prefix `koanf:"allowed_networks"`
}

// Impersonation sets the limits of acting as somebody else. Whether it is
// possible at all is not set here: it is off until `understudy impersonation enable`.
type Impersonation struct {
	// How long an impersonation lasts unless another duration is chosen.
	DefaultDuration time.Duration `koanf:"default_duration" default:"30m" validate:"min=1m,max=60m,ltefield=MaxDuration"`
	// The longest an impersonation may last. It is never extended.
	MaxDuration time.Duration `koanf:"max_duration" default:"60m" validate:"min=1m,max=60m"`
	// How recently the actor must have entered their password.
	StepUpMaxAge time.Duration `koanf:"step_up_max_age" default:"5m" validate:"min=10s,max=60m"`
	// How many impersonations one actor may start in an hour.
	MaxStartsPerHour int `koanf:"max_starts_per_hour" default:"10" validate:"min=1,max=1000000"`
	// How many impersonations of one actor may be live at once.
	MaxConcurrent int `koanf:"max_concurrent" default:"3" validate:"min=1,max=100000"`
	// How many of these may be live at one application.
	MaxConcurrentPerClient int `koanf:"max_concurrent_per_client" default:"1" validate:"min=1,max=100000,ltefield=MaxConcurrent"`
	// When the consent page offers to sign in as another user: at every sign-in of
	// somebody who may, or only when the application asks for it.
	Prompt string `koanf:"prompt" default:"always" validate:"oneof=always on_request"`
	// What a ticket reference looks like: a regular expression that must match all
	// of it, such as `[A-Z]+-[0-9]+`. Empty accepts any.
	TicketRefPattern string `koanf:"ticket_ref_pattern" validate:"omitempty,regexp"`
	// How long a request for a second person's approval waits for an answer. What is
	// approved has to be started within 15 minutes.
	ApprovalWait time.Duration `koanf:"approval_wait" default:"24h" validate:"min=5m,max=168h"`
	// When people are told by mail that somebody signed in as them: never, at the start,
	// at the end, or both. Only verified addresses are written to, and none without
	// `mail.smtp_url`.
	Notify string `koanf:"notify" default:"none" validate:"oneof=none start end both"`
	// Whether users are told by mail that support asks for their permission, and those
	// who may approve that something waits for them.
	NotifyRequests bool `koanf:"notify_requests"`
	// Whether an impersonation needs a ticket reference besides its reason.
	TicketRefRequired bool `koanf:"ticket_ref_required"`
	// Whether a change of the policy loosens something at once for whoever made it.
	// Otherwise the rules before it bind them, too, for 15 minutes.
	PolicyAuthorsAtOnce bool `koanf:"policy_authors_at_once"`
	// What happens to a call of a dialect that says no reason, as most calls of these
	// vendors' SDKs do: `generated` has the record say which call of which API key it was,
	// and that there was no reason; `required` refuses, and says where one can be given.
	DialectReason string `koanf:"dialect_reason" default:"generated" validate:"oneof=generated required"`
	// Whom people can tell, besides the record, that somebody signed in as them who
	// should not have: an e-mail address, or the https URL of a page. Empty names nobody.
	ReportTo string `koanf:"report_to" validate:"omitempty,contact"`
}

// Login protects the sign-in form from being used to exhaust the machine.
type Login struct {
	// How many passwords are checked at the same time; each costs much memory. 0
	// means as many as there are processor cores.
	MaxConcurrentHashes int `koanf:"max_concurrent_hashes" default:"0" validate:"min=0,max=1024"`
	// How long a sign-in waits for its turn before it is asked to try again.
	QueueTimeout time.Duration `koanf:"queue_timeout" default:"2s" validate:"min=1ms,max=60s"`
}

// Mail says how messages are sent. Without it none are.
type Mail struct {
	// The mail server, with user name and password if it wants them:
	// `smtps://user:password@mail.example.com` or `smtp://` for STARTTLS. Both encrypt, and
	// the server's certificate has to be good; only one on this machine may do without.
	SMTPURL Secret `koanf:"smtp_url" validate:"omitempty,smtp"`
	// The sender of all messages, such as `Understudy <no-reply@example.com>`.
	From string `koanf:"from" validate:"required_with=SMTPURL,omitempty,sender"`
}

// Log says what is logged to standard error. The record of impersonations is
// not a log: it is in the database, complete at every level.
type Log struct {
	// The least important messages to write.
	Level string `koanf:"level" default:"info" validate:"oneof=debug info warn error"`
	// JSON for machines, text for people.
	Format string `koanf:"format" default:"json" validate:"oneof=json text"`
}

// Branding says how the pages look.
type Branding struct {
	// The name at the top of every page.
	Name string `koanf:"name" default:"Understudy" validate:"required,max=64,printable"`
	// An SVG or PNG file of at most 256 KiB, shown at the top of every page in place of
	// the icon. It is read when the server starts.
	Logo string `koanf:"logo" validate:"omitempty,file"`
	// The colour of buttons and links.
	Accent string `koanf:"accent" default:"#1f5fbf" validate:"hexcolor,len=7"`
}
