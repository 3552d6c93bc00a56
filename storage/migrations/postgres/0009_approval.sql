-- +goose Up
-- A second person's approval, notices by mail, and who said what about support access.

-- What an actor wants to do, for a second person to approve: exactly this, once.
CREATE TABLE approvals (
    id               TEXT PRIMARY KEY,
    actor_id         TEXT NOT NULL REFERENCES users (id),
    subject_id       TEXT NOT NULL REFERENCES users (id),
    client_id        TEXT NOT NULL,
    organization_id  TEXT NOT NULL DEFAULT '',
    reason           TEXT NOT NULL,
    ticket_ref       TEXT NOT NULL DEFAULT '',
    access           TEXT NOT NULL CHECK (access IN ('read_only', 'full')),
    duration         BIGINT NOT NULL CHECK (duration > 0 AND duration <= 3600000000),
    entry            TEXT NOT NULL CHECK (entry IN ('consent', 'console', 'api', 'token_exchange')),
    rule             TEXT NOT NULL DEFAULT '',
    requested_by     TEXT NOT NULL DEFAULT '',
    status           TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied', 'withdrawn', 'used')),
    decided_by       TEXT NOT NULL DEFAULT '',
    by_caller        BOOLEAN NOT NULL DEFAULT FALSE,
    note             TEXT NOT NULL DEFAULT '',
    impersonation_id TEXT NOT NULL DEFAULT '',
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    decided_at       BIGINT NOT NULL DEFAULT 0,
    kept_until       BIGINT NOT NULL,
    CHECK (actor_id <> subject_id),
    -- Nobody approves what is theirs, is done to them, or was asked for by them.
    CHECK (status NOT IN ('approved', 'used') OR decided_by NOT IN ('', actor_id, subject_id, requested_by)),
    CHECK ((status = 'used') = (impersonation_id <> ''))
);
CREATE INDEX approvals_created ON approvals (created_at, id);
CREATE INDEX approvals_actor ON approvals (actor_id, status);
CREATE INDEX approvals_pending ON approvals (expires_at) WHERE status = 'pending';
CREATE INDEX approvals_kept ON approvals (kept_until);

-- Which approval an impersonation rests on, and whether its subject is told of the end.
ALTER TABLE impersonations ADD COLUMN approval_id TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN notify_end BOOLEAN NOT NULL DEFAULT FALSE;

-- Who set it in the user's place; empty: the user did.
ALTER TABLE support_access ADD COLUMN set_by TEXT NOT NULL DEFAULT '';

-- Notices by mail that wait to be sent, and what came of them. What they say is read
-- when they are sent.
CREATE TABLE mails (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL CHECK (kind IN ('impersonation_started', 'impersonation_ended', 'support_requested', 'approval_requested')),
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    about_id        TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        BIGINT NOT NULL DEFAULT 0,
    error           TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    done_at         BIGINT NOT NULL DEFAULT 0,
    expires_at      BIGINT NOT NULL
);
CREATE INDEX mails_due ON mails (next_attempt_at) WHERE status = 'pending';
CREATE INDEX mails_expiry ON mails (expires_at);

-- +goose Down
DROP TABLE mails;
ALTER TABLE support_access DROP COLUMN set_by;
ALTER TABLE impersonations DROP COLUMN notify_end;
ALTER TABLE impersonations DROP COLUMN approval_id;
DROP TABLE approvals;
