CREATE TABLE "api_keys" (
    id              TEXT PRIMARY KEY,
    secret_hash     BLOB NOT NULL UNIQUE,
    name            TEXT NOT NULL CHECK (name <> ''),
    permissions     TEXT NOT NULL,
    organization_id TEXT,
    client_id       TEXT REFERENCES clients (id) ON DELETE CASCADE,
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL DEFAULT 0,
    last_used_at    INTEGER NOT NULL DEFAULT 0,
    revoked_at      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE approvals (
    id               TEXT PRIMARY KEY,
    actor_id         TEXT NOT NULL REFERENCES users (id),
    subject_id       TEXT NOT NULL REFERENCES users (id),
    client_id        TEXT NOT NULL,
    organization_id  TEXT NOT NULL DEFAULT '',
    reason           TEXT NOT NULL,
    ticket_ref       TEXT NOT NULL DEFAULT '',
    access           TEXT NOT NULL CHECK (access IN ('read_only', 'full')),
    duration         INTEGER NOT NULL CHECK (duration > 0 AND duration <= 3600000000),
    entry            TEXT NOT NULL CHECK (entry IN ('consent', 'console', 'api', 'token_exchange')),
    rule             TEXT NOT NULL DEFAULT '',
    requested_by     TEXT NOT NULL DEFAULT '',
    status           TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied', 'withdrawn', 'used')),
    decided_by       TEXT NOT NULL DEFAULT '',
    by_caller        INTEGER NOT NULL DEFAULT 0 CHECK (by_caller IN (0, 1)),
    note             TEXT NOT NULL DEFAULT '',
    impersonation_id TEXT NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    decided_at       INTEGER NOT NULL DEFAULT 0,
    kept_until       INTEGER NOT NULL,
    CHECK (actor_id <> subject_id),
    -- Nobody approves what is theirs, is done to them, or was asked for by them.
    CHECK (status NOT IN ('approved', 'used') OR decided_by NOT IN ('', actor_id, subject_id, requested_by)),
    CHECK ((status = 'used') = (impersonation_id <> ''))
) STRICT;
CREATE TABLE checkpoints (
    size       INTEGER PRIMARY KEY,
    note       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE "client_holders" (
    client_id TEXT NOT NULL,
    holder_id TEXT NOT NULL CHECK (holder_id <> ''),
    PRIMARY KEY (client_id, holder_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE clients (
    id                           TEXT PRIMARY KEY,
    name                         TEXT NOT NULL,
    type                         TEXT NOT NULL CHECK (type IN ('web', 'spa', 'native', 'service')),
    status                       TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    secret_hash                  BLOB,
    previous_secret_hash         BLOB,
    token_endpoint_auth_method   TEXT NOT NULL CHECK (token_endpoint_auth_method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
    redirect_uris                TEXT NOT NULL DEFAULT '[]',
    post_logout_redirect_uris    TEXT NOT NULL DEFAULT '[]',
    grant_types                  TEXT NOT NULL DEFAULT '[]',
    response_types               TEXT NOT NULL DEFAULT '[]',
    scope                        TEXT NOT NULL DEFAULT '',
    audience                     TEXT NOT NULL DEFAULT '[]',
    organizations                TEXT NOT NULL DEFAULT '[]',
    require_pkce                 INTEGER NOT NULL DEFAULT 1 CHECK (require_pkce IN (0, 1)),
    first_party                  INTEGER NOT NULL DEFAULT 0 CHECK (first_party IN (0, 1)),
    id_token_signed_response_alg TEXT NOT NULL DEFAULT 'RS256' CHECK (id_token_signed_response_alg IN ('RS256', 'ES256')),
    access_token_format          TEXT NOT NULL DEFAULT 'jwt' CHECK (access_token_format IN ('jwt', 'opaque')),
    jwks                         TEXT NOT NULL DEFAULT '',
    jwks_uri                     TEXT NOT NULL DEFAULT '',
    client_uri                   TEXT NOT NULL DEFAULT '',
    logo_uri                     TEXT NOT NULL DEFAULT '',
    policy_uri                   TEXT NOT NULL DEFAULT '',
    tos_uri                      TEXT NOT NULL DEFAULT '',
    contacts                     TEXT NOT NULL DEFAULT '[]',
    software_id                  TEXT NOT NULL DEFAULT '',
    software_version             TEXT NOT NULL DEFAULT '',
    initiate_login_uri           TEXT NOT NULL DEFAULT '',
    backchannel_logout_uri       TEXT NOT NULL DEFAULT '',
    allow_impersonation          INTEGER NOT NULL DEFAULT 0 CHECK (allow_impersonation IN (0, 1)),
    delivery                     TEXT NOT NULL DEFAULT 'initiate_login' CHECK (delivery IN ('initiate_login', 'callback', 'link')),
    read_only_scopes             TEXT NOT NULL DEFAULT '[]',
    act_claims                   TEXT NOT NULL DEFAULT '[]',
    impersonation_refresh        INTEGER NOT NULL DEFAULT 0 CHECK (impersonation_refresh IN (0, 1)),
    impersonator_in_response     INTEGER NOT NULL DEFAULT 1 CHECK (impersonator_in_response IN (0, 1)),
    version                      INTEGER NOT NULL DEFAULT 1,
    created_at                   INTEGER NOT NULL,
    updated_at                   INTEGER NOT NULL
, token_endpoint_auth_signing_alg TEXT NOT NULL DEFAULT '' CHECK (token_endpoint_auth_signing_alg IN ('', 'RS256', 'PS256', 'ES256', 'EdDSA')), request_object_signing_alg TEXT NOT NULL DEFAULT '' CHECK (request_object_signing_alg IN ('', 'RS256', 'PS256', 'ES256', 'EdDSA')), request_uris TEXT NOT NULL DEFAULT '[]', require_signed_request_object INTEGER NOT NULL DEFAULT 0 CHECK (require_signed_request_object IN (0, 1)), require_pushed_authorization_requests INTEGER NOT NULL DEFAULT 0 CHECK (require_pushed_authorization_requests IN (0, 1)), userinfo_signed_response_alg TEXT NOT NULL DEFAULT '' CHECK (userinfo_signed_response_alg IN ('', 'RS256', 'ES256')), subject_type TEXT NOT NULL DEFAULT 'public' CHECK (subject_type IN ('public', 'pairwise')), sector_identifier_uri TEXT NOT NULL DEFAULT '', default_max_age INTEGER CHECK (default_max_age >= 0), backchannel_logout_session_required INTEGER NOT NULL DEFAULT 0 CHECK (backchannel_logout_session_required IN (0, 1)), revoke_on_logout INTEGER NOT NULL DEFAULT 0 CHECK (revoke_on_logout IN (0, 1)), registration_token_hash BLOB, registered_with TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE consents (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted_organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    deleted_at INTEGER NOT NULL
) STRICT;
CREATE TABLE denied_tokens (
    id         TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    id               TEXT PRIMARY KEY,
    position         INTEGER CHECK (position >= 0),
    time             INTEGER NOT NULL,
    type             TEXT NOT NULL CHECK (type <> ''),
    actor_id         TEXT NOT NULL DEFAULT '',
    subject_id       TEXT NOT NULL DEFAULT '',
    client_id        TEXT NOT NULL DEFAULT '',
    organization_id  TEXT NOT NULL DEFAULT '',
    impersonation_id TEXT NOT NULL DEFAULT '',
    request_id       TEXT NOT NULL DEFAULT '',
    data             TEXT NOT NULL DEFAULT '{}',
    private_hash     BLOB,
    private          TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE grants (
    id               TEXT PRIMARY KEY,
    client_id        TEXT NOT NULL,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    actor_id         TEXT NOT NULL DEFAULT '',
    impersonation_id TEXT NOT NULL DEFAULT '',
    organization_id  TEXT NOT NULL DEFAULT '',
    sid              TEXT NOT NULL,
    login_sid        TEXT NOT NULL DEFAULT '',
    scope            TEXT NOT NULL,
    audience         TEXT NOT NULL DEFAULT '',
    request          TEXT NOT NULL DEFAULT '',
    act              TEXT NOT NULL DEFAULT '',
    acr              TEXT NOT NULL DEFAULT '',
    amr              TEXT NOT NULL DEFAULT '',
    auth_time        INTEGER NOT NULL,
    requested_at     INTEGER NOT NULL,
    code_hash        BLOB UNIQUE,
    code_expires_at  INTEGER NOT NULL DEFAULT 0,
    code_used_at     INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    revoked_at       INTEGER NOT NULL DEFAULT 0, custom_claims TEXT NOT NULL DEFAULT '',
    CHECK ((actor_id = '') = (impersonation_id = ''))
) STRICT;
CREATE TABLE idempotent_requests (
    key_hash     BLOB PRIMARY KEY,
    request_hash BLOB NOT NULL,
    status       INTEGER NOT NULL DEFAULT 0,
    sealed       BLOB,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    CHECK ((status = 0) = (sealed IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE impersonations (
    id              TEXT PRIMARY KEY,
    actor_id        TEXT NOT NULL REFERENCES users (id),
    subject_id      TEXT NOT NULL REFERENCES users (id),
    client_id       TEXT NOT NULL,
    organization_id TEXT NOT NULL DEFAULT '',
    login_sid       TEXT NOT NULL DEFAULT '',
    entry           TEXT NOT NULL CHECK (entry IN ('consent', 'console', 'api', 'token_exchange')),
    ticket_id       TEXT NOT NULL DEFAULT '',
    reason          TEXT NOT NULL,
    ticket_ref      TEXT NOT NULL DEFAULT '',
    access          TEXT NOT NULL CHECK (access IN ('read_only', 'full')),
    started_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL DEFAULT 0,
    ended_by        TEXT NOT NULL DEFAULT '',
    end_reason      TEXT NOT NULL DEFAULT '' CHECK (end_reason IN ('', 'stopped', 'expired', 'signed_out', 'actor_disabled', 'subject_disabled', 'permission_lost', 'client_disallowed', 'switched_off', 'credentials_changed', 'reused_token')), ip TEXT NOT NULL DEFAULT '', scopes TEXT NOT NULL DEFAULT '[]', binding TEXT NOT NULL DEFAULT '' CHECK (binding IN ('', 'actor_session', 'bearer')), created_by TEXT NOT NULL DEFAULT '', browser_hash BLOB, approval_id TEXT NOT NULL DEFAULT '', notify_end INTEGER NOT NULL DEFAULT 0 CHECK (notify_end IN (0, 1)),
    CHECK (actor_id <> subject_id),
    CHECK (expires_at > started_at AND expires_at <= started_at + 3600000000)
) STRICT;
CREATE TABLE initial_access_tokens (
    id          TEXT PRIMARY KEY,
    token_hash  BLOB NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    uses_left   INTEGER NOT NULL CHECK (uses_left >= 0),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE interactions (
    id_hash      BLOB PRIMARY KEY,
    browser_hash BLOB NOT NULL,
    client_id    TEXT NOT NULL,
    request      TEXT NOT NULL,
    draft        TEXT NOT NULL DEFAULT '',
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    spent_at     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE login_sessions (
    id_hash          BLOB PRIMARY KEY,
    sid              TEXT NOT NULL UNIQUE,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_time        INTEGER NOT NULL,
    amr              TEXT NOT NULL DEFAULT '[]',
    continue_as_me   TEXT NOT NULL DEFAULT '{}',
    ip               TEXT NOT NULL DEFAULT '',
    user_agent       TEXT NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    idle_expires_at  INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    revoked_at       INTEGER NOT NULL DEFAULT 0
, console_hash BLOB, console_idle_expires_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE logout_notices (
    id               TEXT PRIMARY KEY,
    client_id        TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    sid              TEXT NOT NULL,
    impersonation_id TEXT NOT NULL DEFAULT '',
    status           TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    http_status      INTEGER NOT NULL DEFAULT 0,
    error            TEXT NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    next_attempt_at  INTEGER NOT NULL,
    done_at          INTEGER NOT NULL DEFAULT 0,
    expires_at       INTEGER NOT NULL
) STRICT;
CREATE TABLE mails (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL CHECK (kind IN ('impersonation_started', 'impersonation_ended', 'support_requested', 'approval_requested')),
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    about_id        TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    error           TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    done_at         INTEGER NOT NULL DEFAULT 0,
    expires_at      INTEGER NOT NULL
) STRICT;
CREATE TABLE memberships (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            TEXT REFERENCES roles (name),
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE CHECK (name <> ''),
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE policies (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL UNIQUE CHECK (version > 0),
    rules      TEXT NOT NULL,
    note       TEXT NOT NULL DEFAULT '',
    author_id  TEXT NOT NULL DEFAULT '',
    by_person  INTEGER NOT NULL DEFAULT 0 CHECK (by_person IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE pushed_requests (
    id_hash    BLOB PRIMARY KEY,
    client_id  TEXT NOT NULL,
    request    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE reconsiderations (
    id            TEXT PRIMARY KEY,
    party         TEXT NOT NULL DEFAULT '', -- of what runs, only that of this actor or subject,
    subject_id    TEXT NOT NULL DEFAULT '',
    client_id     TEXT NOT NULL DEFAULT '',
    caller_id     TEXT NOT NULL DEFAULT '',
    changed_by    TEXT NOT NULL DEFAULT '',
    request_id    TEXT NOT NULL DEFAULT '',
    ip            TEXT NOT NULL DEFAULT '',
    user_agent    TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    permissions TEXT NOT NULL,
    built_in    INTEGER NOT NULL DEFAULT 0 CHECK (built_in IN (0, 1))
) STRICT;
CREATE TABLE session_clients (
    sid        TEXT NOT NULL,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (sid, client_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE setup_links (
    token_hash BLOB PRIMARY KEY,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE signing_keys (
    id           TEXT PRIMARY KEY,
    purpose      TEXT NOT NULL CHECK (purpose IN ('token', 'checkpoint')),
    alg          TEXT NOT NULL CHECK (alg IN ('RS256', 'ES256', 'EdDSA')),
    public_key   BLOB NOT NULL,
    private_key  BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    activates_at INTEGER NOT NULL,
    retired_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE support_access (
    user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    mode       TEXT NOT NULL CHECK (mode IN ('denied', 'until', 'ticket')),
    ticket_ref TEXT NOT NULL DEFAULT '',
    expires_at INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL, set_by TEXT NOT NULL DEFAULT '', own_mode TEXT NOT NULL DEFAULT '' CHECK (own_mode IN ('', 'denied', 'until', 'ticket')), own_ticket_ref TEXT NOT NULL DEFAULT '', own_expires_at INTEGER NOT NULL DEFAULT 0,
    CHECK ((mode = 'ticket') = (ticket_ref <> '')),
    CHECK ((mode = 'denied') = (expires_at = 0))
) STRICT, WITHOUT ROWID;
CREATE TABLE support_requests (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    actor_id   TEXT NOT NULL REFERENCES users (id),
    client_id  TEXT NOT NULL DEFAULT '',
    reason     TEXT NOT NULL,
    ticket_ref TEXT NOT NULL DEFAULT '',
    status     TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE throttles (
    key_hash      BLOB PRIMARY KEY,
    failures      INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tickets (
    id              TEXT PRIMARY KEY,
    token_hash      BLOB NOT NULL UNIQUE,
    actor_id        TEXT NOT NULL REFERENCES users (id),
    subject_id      TEXT NOT NULL REFERENCES users (id),
    client_id       TEXT NOT NULL,
    organization_id TEXT NOT NULL DEFAULT '',
    login_sid       TEXT NOT NULL DEFAULT '',
    binding         TEXT NOT NULL CHECK (binding IN ('actor_session', 'bearer')),
    reason          TEXT NOT NULL,
    ticket_ref      TEXT NOT NULL DEFAULT '',
    access          TEXT NOT NULL CHECK (access IN ('read_only', 'full')),
    duration        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    redeemed_at     INTEGER NOT NULL DEFAULT 0,
    revoked_at      INTEGER NOT NULL DEFAULT 0
, entry TEXT NOT NULL DEFAULT 'console' CHECK (entry IN ('console', 'api')), delivery TEXT NOT NULL DEFAULT 'initiate_login' CHECK (delivery IN ('initiate_login', 'callback', 'link')), redirect_uri TEXT NOT NULL DEFAULT '', response_type TEXT NOT NULL DEFAULT '', response_mode TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT '', scope TEXT NOT NULL DEFAULT '', target_link_uri TEXT NOT NULL DEFAULT '', created_by TEXT NOT NULL DEFAULT '', custom_claims TEXT NOT NULL DEFAULT '', impersonation_id TEXT NOT NULL DEFAULT '', bound_at INTEGER NOT NULL DEFAULT 0, browser_hash BLOB, updated_at INTEGER NOT NULL DEFAULT 0, kept_until INTEGER NOT NULL DEFAULT 0, dialect TEXT NOT NULL DEFAULT '' CHECK (dialect IN ('', 'clerk', 'workos', 'descope', 'auth0')), validate_consent INTEGER NOT NULL DEFAULT 0 CHECK (validate_consent IN (0, 1))) STRICT;
CREATE TABLE tokens (
    hash       BLOB PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('refresh_token', 'access_token')),
    grant_id   TEXT NOT NULL DEFAULT '',
    client_id  TEXT NOT NULL,
    scope      TEXT NOT NULL,
    audience   TEXT NOT NULL DEFAULT '',
    generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
, successor BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE tree_hashes (
    position INTEGER PRIMARY KEY,
    hash     BLOB NOT NULL
) STRICT;
CREATE TABLE used_assertions (
    id_hash    BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_roles (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT NOT NULL REFERENCES roles (name),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE users (
    id                    TEXT PRIMARY KEY,
    email                 TEXT NOT NULL DEFAULT '',
    email_key             TEXT NOT NULL UNIQUE CHECK (email_key <> ''),
    email_verified        INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)),
    name                  TEXT NOT NULL DEFAULT '',
    given_name            TEXT NOT NULL DEFAULT '',
    family_name           TEXT NOT NULL DEFAULT '',
    middle_name           TEXT NOT NULL DEFAULT '',
    nickname              TEXT NOT NULL DEFAULT '',
    preferred_username    TEXT NOT NULL DEFAULT '',
    profile               TEXT NOT NULL DEFAULT '',
    picture               TEXT NOT NULL DEFAULT '',
    website               TEXT NOT NULL DEFAULT '',
    gender                TEXT NOT NULL DEFAULT '',
    birthdate             TEXT NOT NULL DEFAULT '',
    zoneinfo              TEXT NOT NULL DEFAULT '',
    locale                TEXT NOT NULL DEFAULT '',
    phone_number          TEXT NOT NULL DEFAULT '',
    phone_number_verified INTEGER NOT NULL DEFAULT 0 CHECK (phone_number_verified IN (0, 1)),
    address               TEXT NOT NULL DEFAULT '',
    password_hash         TEXT NOT NULL DEFAULT '',
    password_changed_at   INTEGER NOT NULL DEFAULT 0,
    status                TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    never_impersonate     INTEGER NOT NULL DEFAULT 0 CHECK (never_impersonate IN (0, 1)),
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL
, deleted_at INTEGER NOT NULL DEFAULT 0, last_sign_in_at INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE webhook_deliveries (
    webhook_id      TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        TEXT NOT NULL REFERENCES events (id),
    event_type      TEXT NOT NULL,
    position        INTEGER NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    http_status     INTEGER NOT NULL DEFAULT 0,
    error           TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    tried_since     INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    claimed_until   INTEGER NOT NULL DEFAULT 0,
    done_at         INTEGER NOT NULL DEFAULT 0,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE webhooks (
    id                    TEXT PRIMARY KEY,
    url                   TEXT NOT NULL CHECK (url <> ''),
    description           TEXT NOT NULL DEFAULT '',
    event_types           TEXT NOT NULL DEFAULT '[]',
    secret                BLOB NOT NULL,
    previous_secret       BLOB,
    previous_secret_until INTEGER NOT NULL DEFAULT 0,
    status                TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    disabled_reason       TEXT NOT NULL DEFAULT '' CHECK (disabled_reason IN ('', 'operator', 'gone', 'failing')),
    position              INTEGER NOT NULL CHECK (position >= 0),
    failures              INTEGER NOT NULL DEFAULT 0,
    failing_since         INTEGER NOT NULL DEFAULT 0,
    retry_at              INTEGER NOT NULL DEFAULT 0,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    CHECK ((status = 'disabled') = (disabled_reason <> '')),
    CHECK ((previous_secret IS NULL) = (previous_secret_until = 0)),
    CHECK ((failures = 0) = (failing_since = 0))
) STRICT;
CREATE INDEX api_keys_client ON api_keys (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_organization ON api_keys (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX approvals_actor ON approvals (actor_id, status);
CREATE INDEX approvals_created ON approvals (created_at, id);
CREATE INDEX approvals_kept ON approvals (kept_until);
CREATE INDEX approvals_pending ON approvals (expires_at) WHERE status = 'pending';
CREATE INDEX clients_name ON clients (name, id);
CREATE INDEX denied_tokens_expiry ON denied_tokens (expires_at);
CREATE INDEX events_actor ON events (actor_id, time, id) WHERE actor_id <> '' AND position IS NOT NULL;
CREATE INDEX events_actor_position ON events (actor_id, position) WHERE actor_id <> '' AND position IS NOT NULL;
CREATE INDEX events_client ON events (client_id, time, id) WHERE client_id <> '' AND position IS NOT NULL;
CREATE INDEX events_client_position ON events (client_id, position) WHERE client_id <> '' AND position IS NOT NULL;
CREATE INDEX events_impersonation ON events (impersonation_id) WHERE impersonation_id <> '' AND position IS NOT NULL;
CREATE INDEX events_organization_position ON events (organization_id, position) WHERE organization_id <> '' AND position IS NOT NULL;
CREATE INDEX events_pending ON events (time, id) WHERE position IS NULL;
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_subject ON events (subject_id, time, id) WHERE subject_id <> '' AND position IS NOT NULL;
CREATE INDEX events_subject_position ON events (subject_id, position) WHERE subject_id <> '' AND position IS NOT NULL;
CREATE INDEX events_time ON events (time, id) WHERE position IS NOT NULL;
CREATE INDEX events_type ON events (type, time, id) WHERE position IS NOT NULL;
CREATE INDEX events_type_position ON events (type, position) WHERE position IS NOT NULL;
CREATE INDEX grants_expiry ON grants (expires_at);
CREATE INDEX grants_impersonation ON grants (impersonation_id) WHERE impersonation_id <> '';
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX idempotent_requests_expiry ON idempotent_requests (expires_at);
CREATE INDEX impersonations_actor ON impersonations (actor_id, started_at);
CREATE INDEX impersonations_client ON impersonations (client_id, started_at, id) WHERE ended_at <> 0;
CREATE INDEX impersonations_login ON impersonations (login_sid, client_id) WHERE ended_at = 0 AND login_sid <> '';
CREATE INDEX impersonations_open ON impersonations (started_at, id, expires_at) WHERE ended_at = 0;
CREATE INDEX impersonations_organization ON impersonations (organization_id, started_at, id) WHERE organization_id <> '' AND ended_at <> 0;
CREATE INDEX impersonations_started ON impersonations (started_at, id) WHERE ended_at <> 0;
CREATE INDEX impersonations_subject ON impersonations (subject_id, started_at) WHERE ended_at <> 0;
CREATE INDEX initial_access_tokens_expiry ON initial_access_tokens (expires_at);
CREATE INDEX interactions_expiry ON interactions (expires_at);
CREATE INDEX login_sessions_expiry ON login_sessions (expires_at);
CREATE INDEX login_sessions_user ON login_sessions (user_id);
CREATE INDEX logout_notices_client ON logout_notices (client_id, created_at);
CREATE INDEX logout_notices_expiry ON logout_notices (expires_at);
CREATE INDEX logout_notices_impersonation ON logout_notices (impersonation_id) WHERE impersonation_id <> '';
CREATE INDEX logout_notices_pending ON logout_notices (next_attempt_at) WHERE status = 'pending';
CREATE INDEX mails_due ON mails (next_attempt_at) WHERE status = 'pending';
CREATE INDEX mails_expiry ON mails (expires_at);
CREATE INDEX memberships_user ON memberships (user_id);
CREATE INDEX pushed_requests_expiry ON pushed_requests (expires_at);
CREATE INDEX session_clients_expiry ON session_clients (expires_at);
CREATE INDEX setup_links_expiry ON setup_links (expires_at);
CREATE INDEX support_requests_expiry ON support_requests (expires_at);
CREATE INDEX support_requests_user ON support_requests (user_id, created_at);
CREATE INDEX tickets_accepted ON tickets (created_at, id) WHERE redeemed_at <> 0 AND revoked_at = 0;
CREATE INDEX tickets_actor ON tickets (actor_id, created_at, id);
CREATE INDEX tickets_client ON tickets (client_id, created_at, id);
CREATE INDEX tickets_created ON tickets (created_at, id);
CREATE INDEX tickets_creator ON tickets (created_by, created_at, id) WHERE created_by <> '';
CREATE INDEX tickets_kept ON tickets (kept_until);
CREATE INDEX tickets_login ON tickets (login_sid, client_id) WHERE login_sid <> '';
CREATE INDEX tickets_open ON tickets (created_at, id) WHERE redeemed_at = 0 AND revoked_at = 0;
CREATE INDEX tickets_organization ON tickets (organization_id, created_at, id) WHERE organization_id <> '';
CREATE INDEX tickets_revoked ON tickets (created_at, id) WHERE revoked_at <> 0;
CREATE INDEX tickets_subject ON tickets (subject_id, created_at, id);
CREATE INDEX tokens_expiry ON tokens (expires_at);
CREATE INDEX tokens_grant ON tokens (grant_id);
CREATE INDEX users_created ON users (created_at, id) WHERE deleted_at = 0;
CREATE INDEX users_name ON users (name, id);
CREATE INDEX users_name_prefix ON users (LOWER(name) || char(1) || id) WHERE deleted_at = 0;
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (webhook_id, created_at, event_id);
CREATE INDEX webhook_deliveries_expiry ON webhook_deliveries (expires_at);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, next_attempt_at, position) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (webhook_id, status, created_at, event_id);
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints
BEGIN
    SELECT RAISE(ABORT, 'checkpoints are append-only');
END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
WHEN NOT (
    (OLD.position IS NULL OR NEW.position IS OLD.position)
    AND NEW.private IN (OLD.private, '')
    AND NEW.id = OLD.id AND NEW.time = OLD.time AND NEW.type = OLD.type
    AND NEW.actor_id = OLD.actor_id AND NEW.subject_id = OLD.subject_id AND NEW.client_id = OLD.client_id
    AND NEW.organization_id = OLD.organization_id AND NEW.impersonation_id = OLD.impersonation_id
    AND NEW.request_id = OLD.request_id AND NEW.data = OLD.data AND NEW.private_hash IS OLD.private_hash)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER policies_no_delete BEFORE DELETE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;
CREATE TRIGGER policies_no_update BEFORE UPDATE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;
CREATE TRIGGER tree_hashes_no_delete BEFORE DELETE ON tree_hashes
BEGIN
    SELECT RAISE(ABORT, 'tree hashes are append-only');
END;
CREATE TRIGGER tree_hashes_no_update BEFORE UPDATE ON tree_hashes
BEGIN
    SELECT RAISE(ABORT, 'tree hashes are append-only');
END;
