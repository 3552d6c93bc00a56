-- +goose Up
-- What clients may be registered for beyond the code flow, and how they got here.
ALTER TABLE clients ADD COLUMN token_endpoint_auth_signing_alg TEXT NOT NULL DEFAULT '' CHECK (token_endpoint_auth_signing_alg IN ('', 'RS256', 'PS256', 'ES256', 'EdDSA'));
ALTER TABLE clients ADD COLUMN request_object_signing_alg TEXT NOT NULL DEFAULT '' CHECK (request_object_signing_alg IN ('', 'RS256', 'PS256', 'ES256', 'EdDSA'));
ALTER TABLE clients ADD COLUMN request_uris TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN require_signed_request_object INTEGER NOT NULL DEFAULT 0 CHECK (require_signed_request_object IN (0, 1));
ALTER TABLE clients ADD COLUMN require_pushed_authorization_requests INTEGER NOT NULL DEFAULT 0 CHECK (require_pushed_authorization_requests IN (0, 1));
ALTER TABLE clients ADD COLUMN userinfo_signed_response_alg TEXT NOT NULL DEFAULT '' CHECK (userinfo_signed_response_alg IN ('', 'RS256', 'ES256'));
ALTER TABLE clients ADD COLUMN subject_type TEXT NOT NULL DEFAULT 'public' CHECK (subject_type IN ('public', 'pairwise'));
ALTER TABLE clients ADD COLUMN sector_identifier_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN default_max_age INTEGER CHECK (default_max_age >= 0);
ALTER TABLE clients ADD COLUMN backchannel_logout_session_required INTEGER NOT NULL DEFAULT 0 CHECK (backchannel_logout_session_required IN (0, 1));
ALTER TABLE clients ADD COLUMN revoke_on_logout INTEGER NOT NULL DEFAULT 0 CHECK (revoke_on_logout IN (0, 1));
ALTER TABLE clients ADD COLUMN registration_token_hash BLOB;
ALTER TABLE clients ADD COLUMN registered_with TEXT NOT NULL DEFAULT '';

-- The refresh token that took a spent one's place, encrypted with a key that
-- only the holder of the spent one can derive.
ALTER TABLE tokens ADD COLUMN successor BLOB;

-- Authorization requests that a client pushed (RFC 9126), each for one use.
CREATE TABLE pushed_requests (
    id_hash    BLOB PRIMARY KEY,
    client_id  TEXT NOT NULL,
    request    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX pushed_requests_expiry ON pushed_requests (expires_at);

-- The jti of each client assertion that was accepted, hashed with its client's id.
-- Rows live for minutes: an index on their expiry would cost more than it saves.
CREATE TABLE used_assertions (
    id_hash    BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which clients with a back-channel logout URI hold a session under a sid.
CREATE TABLE session_clients (
    sid        TEXT NOT NULL,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (sid, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_clients_expiry ON session_clients (expires_at);

-- Logout tokens to be sent, and what came of them.
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
CREATE INDEX logout_notices_pending ON logout_notices (next_attempt_at) WHERE status = 'pending';
CREATE INDEX logout_notices_impersonation ON logout_notices (impersonation_id) WHERE impersonation_id <> '';
CREATE INDEX logout_notices_client ON logout_notices (client_id, created_at);
CREATE INDEX logout_notices_expiry ON logout_notices (expires_at);

-- Tokens with which clients may register themselves (RFC 7591 section 3).
CREATE TABLE initial_access_tokens (
    id          TEXT PRIMARY KEY,
    token_hash  BLOB NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    uses_left   INTEGER NOT NULL CHECK (uses_left >= 0),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX initial_access_tokens_expiry ON initial_access_tokens (expires_at);

-- Links with which an administrator is made, each for one use.
CREATE TABLE setup_links (
    token_hash BLOB PRIMARY KEY,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX setup_links_expiry ON setup_links (expires_at);

-- +goose Down
DROP TABLE setup_links;
DROP TABLE initial_access_tokens;
DROP TABLE logout_notices;
DROP TABLE session_clients;
DROP TABLE used_assertions;
DROP TABLE pushed_requests;
ALTER TABLE tokens DROP COLUMN successor;
ALTER TABLE clients DROP COLUMN registered_with;
ALTER TABLE clients DROP COLUMN registration_token_hash;
ALTER TABLE clients DROP COLUMN revoke_on_logout;
ALTER TABLE clients DROP COLUMN backchannel_logout_session_required;
ALTER TABLE clients DROP COLUMN default_max_age;
ALTER TABLE clients DROP COLUMN sector_identifier_uri;
ALTER TABLE clients DROP COLUMN subject_type;
ALTER TABLE clients DROP COLUMN userinfo_signed_response_alg;
ALTER TABLE clients DROP COLUMN require_pushed_authorization_requests;
ALTER TABLE clients DROP COLUMN require_signed_request_object;
ALTER TABLE clients DROP COLUMN request_uris;
ALTER TABLE clients DROP COLUMN request_object_signing_alg;
ALTER TABLE clients DROP COLUMN token_endpoint_auth_signing_alg;
