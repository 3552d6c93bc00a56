api_keys.client_id text
api_keys.created_at bigint NOT NULL
api_keys.created_by text NOT NULL DEFAULT ''::text
api_keys.expires_at bigint NOT NULL DEFAULT 0
api_keys.id text NOT NULL
api_keys.last_used_at bigint NOT NULL DEFAULT 0
api_keys.name text NOT NULL
api_keys.organization_id text
api_keys.permissions text NOT NULL
api_keys.revoked_at bigint NOT NULL DEFAULT 0
api_keys.secret_hash bytea NOT NULL
approvals.access text NOT NULL
approvals.actor_id text NOT NULL
approvals.by_caller boolean NOT NULL DEFAULT false
approvals.client_id text NOT NULL
approvals.created_at bigint NOT NULL
approvals.decided_at bigint NOT NULL DEFAULT 0
approvals.decided_by text NOT NULL DEFAULT ''::text
approvals.duration bigint NOT NULL
approvals.entry text NOT NULL
approvals.expires_at bigint NOT NULL
approvals.id text NOT NULL
approvals.impersonation_id text NOT NULL DEFAULT ''::text
approvals.kept_until bigint NOT NULL
approvals.note text NOT NULL DEFAULT ''::text
approvals.organization_id text NOT NULL DEFAULT ''::text
approvals.reason text NOT NULL
approvals.requested_by text NOT NULL DEFAULT ''::text
approvals.rule text NOT NULL DEFAULT ''::text
approvals.status text NOT NULL DEFAULT 'pending'::text
approvals.subject_id text NOT NULL
approvals.ticket_ref text NOT NULL DEFAULT ''::text
checkpoints.created_at bigint NOT NULL
checkpoints.note text NOT NULL
checkpoints.size bigint NOT NULL
client_holders.client_id text NOT NULL
client_holders.holder_id text NOT NULL
clients.access_token_format text NOT NULL DEFAULT 'jwt'::text
clients.act_claims text NOT NULL DEFAULT '[]'::text
clients.allow_impersonation boolean NOT NULL DEFAULT false
clients.audience text NOT NULL DEFAULT '[]'::text
clients.backchannel_logout_session_required boolean NOT NULL DEFAULT false
clients.backchannel_logout_uri text NOT NULL DEFAULT ''::text
clients.client_uri text NOT NULL DEFAULT ''::text
clients.contacts text NOT NULL DEFAULT '[]'::text
clients.created_at bigint NOT NULL
clients.default_max_age bigint
clients.delivery text NOT NULL DEFAULT 'initiate_login'::text
clients.first_party boolean NOT NULL DEFAULT false
clients.grant_types text NOT NULL DEFAULT '[]'::text
clients.id text NOT NULL
clients.id_token_signed_response_alg text NOT NULL DEFAULT 'RS256'::text
clients.impersonation_refresh boolean NOT NULL DEFAULT false
clients.impersonator_in_response boolean NOT NULL DEFAULT true
clients.initiate_login_uri text NOT NULL DEFAULT ''::text
clients.jwks text NOT NULL DEFAULT ''::text
clients.jwks_uri text NOT NULL DEFAULT ''::text
clients.logo_uri text NOT NULL DEFAULT ''::text
clients.name text NOT NULL
clients.organizations text NOT NULL DEFAULT '[]'::text
clients.policy_uri text NOT NULL DEFAULT ''::text
clients.post_logout_redirect_uris text NOT NULL DEFAULT '[]'::text
clients.previous_secret_hash bytea
clients.read_only_scopes text NOT NULL DEFAULT '[]'::text
clients.redirect_uris text NOT NULL DEFAULT '[]'::text
clients.registered_with text NOT NULL DEFAULT ''::text
clients.registration_token_hash bytea
clients.request_object_signing_alg text NOT NULL DEFAULT ''::text
clients.request_uris text NOT NULL DEFAULT '[]'::text
clients.require_pkce boolean NOT NULL DEFAULT true
clients.require_pushed_authorization_requests boolean NOT NULL DEFAULT false
clients.require_signed_request_object boolean NOT NULL DEFAULT false
clients.response_types text NOT NULL DEFAULT '[]'::text
clients.revoke_on_logout boolean NOT NULL DEFAULT false
clients.scope text NOT NULL DEFAULT ''::text
clients.secret_hash bytea
clients.sector_identifier_uri text NOT NULL DEFAULT ''::text
clients.software_id text NOT NULL DEFAULT ''::text
clients.software_version text NOT NULL DEFAULT ''::text
clients.status text NOT NULL DEFAULT 'active'::text
clients.subject_type text NOT NULL DEFAULT 'public'::text
clients.token_endpoint_auth_method text NOT NULL
clients.token_endpoint_auth_signing_alg text NOT NULL DEFAULT ''::text
clients.tos_uri text NOT NULL DEFAULT ''::text
clients.type text NOT NULL
clients.updated_at bigint NOT NULL
clients.userinfo_signed_response_alg text NOT NULL DEFAULT ''::text
clients.version bigint NOT NULL DEFAULT 1
consents.client_id text NOT NULL
consents.created_at bigint NOT NULL
consents.scope text NOT NULL
consents.updated_at bigint NOT NULL
consents.user_id text NOT NULL
deleted_organizations.deleted_at bigint NOT NULL
deleted_organizations.id text NOT NULL
deleted_organizations.name text NOT NULL
denied_tokens.expires_at bigint NOT NULL
denied_tokens.id text NOT NULL
events.actor_id text NOT NULL DEFAULT ''::text
events.client_id text NOT NULL DEFAULT ''::text
events.data text NOT NULL DEFAULT '{}'::text
events.id text NOT NULL
events.impersonation_id text NOT NULL DEFAULT ''::text
events.organization_id text NOT NULL DEFAULT ''::text
events.position bigint
events.private text NOT NULL DEFAULT ''::text
events.private_hash bytea
events.request_id text NOT NULL DEFAULT ''::text
events.subject_id text NOT NULL DEFAULT ''::text
events.time bigint NOT NULL
events.type text NOT NULL
grants.acr text NOT NULL DEFAULT ''::text
grants.act text NOT NULL DEFAULT ''::text
grants.actor_id text NOT NULL DEFAULT ''::text
grants.amr text NOT NULL DEFAULT ''::text
grants.audience text NOT NULL DEFAULT ''::text
grants.auth_time bigint NOT NULL
grants.client_id text NOT NULL
grants.code_expires_at bigint NOT NULL DEFAULT 0
grants.code_hash bytea
grants.code_used_at bigint NOT NULL DEFAULT 0
grants.created_at bigint NOT NULL
grants.custom_claims text NOT NULL DEFAULT ''::text
grants.expires_at bigint NOT NULL
grants.id text NOT NULL
grants.impersonation_id text NOT NULL DEFAULT ''::text
grants.login_sid text NOT NULL DEFAULT ''::text
grants.organization_id text NOT NULL DEFAULT ''::text
grants.request text NOT NULL DEFAULT ''::text
grants.requested_at bigint NOT NULL
grants.revoked_at bigint NOT NULL DEFAULT 0
grants.scope text NOT NULL
grants.sid text NOT NULL
grants.user_id text NOT NULL
idempotent_requests.created_at bigint NOT NULL
idempotent_requests.expires_at bigint NOT NULL
idempotent_requests.key_hash bytea NOT NULL
idempotent_requests.request_hash bytea NOT NULL
idempotent_requests.sealed bytea
idempotent_requests.status bigint NOT NULL DEFAULT 0
impersonations.access text NOT NULL
impersonations.actor_id text NOT NULL
impersonations.approval_id text NOT NULL DEFAULT ''::text
impersonations.binding text NOT NULL DEFAULT ''::text
impersonations.browser_hash bytea
impersonations.client_id text NOT NULL
impersonations.created_by text NOT NULL DEFAULT ''::text
impersonations.end_reason text NOT NULL DEFAULT ''::text
impersonations.ended_at bigint NOT NULL DEFAULT 0
impersonations.ended_by text NOT NULL DEFAULT ''::text
impersonations.entry text NOT NULL
impersonations.expires_at bigint NOT NULL
impersonations.id text NOT NULL
impersonations.ip text NOT NULL DEFAULT ''::text
impersonations.login_sid text NOT NULL DEFAULT ''::text
impersonations.notify_end boolean NOT NULL DEFAULT false
impersonations.organization_id text NOT NULL DEFAULT ''::text
impersonations.reason text NOT NULL
impersonations.scopes text NOT NULL DEFAULT '[]'::text
impersonations.started_at bigint NOT NULL
impersonations.subject_id text NOT NULL
impersonations.ticket_id text NOT NULL DEFAULT ''::text
impersonations.ticket_ref text NOT NULL DEFAULT ''::text
initial_access_tokens.created_at bigint NOT NULL
initial_access_tokens.description text NOT NULL DEFAULT ''::text
initial_access_tokens.expires_at bigint NOT NULL
initial_access_tokens.id text NOT NULL
initial_access_tokens.revoked_at bigint NOT NULL DEFAULT 0
initial_access_tokens.token_hash bytea NOT NULL
initial_access_tokens.uses_left bigint NOT NULL
interactions.browser_hash bytea NOT NULL
interactions.client_id text NOT NULL
interactions.draft text NOT NULL DEFAULT ''::text
interactions.expires_at bigint NOT NULL
interactions.id_hash bytea NOT NULL
interactions.request text NOT NULL
interactions.requested_at bigint NOT NULL
interactions.spent_at bigint NOT NULL DEFAULT 0
leases.expires_at bigint NOT NULL
leases.holder text NOT NULL
leases.name text NOT NULL
login_sessions.amr text NOT NULL DEFAULT '[]'::text
login_sessions.auth_time bigint NOT NULL
login_sessions.console_hash bytea
login_sessions.console_idle_expires_at bigint NOT NULL DEFAULT 0
login_sessions.continue_as_me text NOT NULL DEFAULT '{}'::text
login_sessions.created_at bigint NOT NULL
login_sessions.expires_at bigint NOT NULL
login_sessions.id_hash bytea NOT NULL
login_sessions.idle_expires_at bigint NOT NULL
login_sessions.ip text NOT NULL DEFAULT ''::text
login_sessions.last_seen_at bigint NOT NULL
login_sessions.revoked_at bigint NOT NULL DEFAULT 0
login_sessions.sid text NOT NULL
login_sessions.user_agent text NOT NULL DEFAULT ''::text
login_sessions.user_id text NOT NULL
logout_notices.attempts bigint NOT NULL DEFAULT 0
logout_notices.client_id text NOT NULL
logout_notices.created_at bigint NOT NULL
logout_notices.done_at bigint NOT NULL DEFAULT 0
logout_notices.error text NOT NULL DEFAULT ''::text
logout_notices.expires_at bigint NOT NULL
logout_notices.http_status bigint NOT NULL DEFAULT 0
logout_notices.id text NOT NULL
logout_notices.impersonation_id text NOT NULL DEFAULT ''::text
logout_notices.next_attempt_at bigint NOT NULL
logout_notices.sid text NOT NULL
logout_notices.status text NOT NULL DEFAULT 'pending'::text
logout_notices.user_id text NOT NULL
mails.about_id text NOT NULL
mails.attempts bigint NOT NULL DEFAULT 0
mails.created_at bigint NOT NULL
mails.done_at bigint NOT NULL DEFAULT 0
mails.error text NOT NULL DEFAULT ''::text
mails.expires_at bigint NOT NULL
mails.id text NOT NULL
mails.kind text NOT NULL
mails.next_attempt_at bigint NOT NULL
mails.status text NOT NULL DEFAULT 'pending'::text
mails.user_id text NOT NULL
memberships.created_at bigint NOT NULL
memberships.organization_id text NOT NULL
memberships.role text
memberships.user_id text NOT NULL
organizations.created_at bigint NOT NULL
organizations.id text NOT NULL
organizations.name text NOT NULL
policies.author_id text NOT NULL DEFAULT ''::text
policies.by_person boolean NOT NULL DEFAULT false
policies.created_at bigint NOT NULL
policies.id text NOT NULL
policies.note text NOT NULL DEFAULT ''::text
policies.rules text NOT NULL
policies.version bigint NOT NULL
pushed_requests.client_id text NOT NULL
pushed_requests.expires_at bigint NOT NULL
pushed_requests.id_hash bytea NOT NULL
pushed_requests.request text NOT NULL
pushed_requests.used_at bigint NOT NULL DEFAULT 0
reconsiderations.caller_id text NOT NULL DEFAULT ''::text
reconsiderations.changed_by text NOT NULL DEFAULT ''::text
reconsiderations.claimed_until bigint NOT NULL
reconsiderations.client_id text NOT NULL DEFAULT ''::text
reconsiderations.created_at bigint NOT NULL
reconsiderations.id text NOT NULL
reconsiderations.ip text NOT NULL DEFAULT ''::text
reconsiderations.party text NOT NULL DEFAULT ''::text
reconsiderations.request_id text NOT NULL DEFAULT ''::text
reconsiderations.subject_id text NOT NULL DEFAULT ''::text
reconsiderations.user_agent text NOT NULL DEFAULT ''::text
roles.built_in boolean NOT NULL DEFAULT false
roles.name text NOT NULL
roles.permissions text NOT NULL
session_clients.client_id text NOT NULL
session_clients.expires_at bigint NOT NULL
session_clients.sid text NOT NULL
session_clients.user_id text NOT NULL
settings.key text NOT NULL
settings.updated_at bigint NOT NULL
settings.value text NOT NULL
setup_links.created_at bigint NOT NULL
setup_links.expires_at bigint NOT NULL
setup_links.token_hash bytea NOT NULL
setup_links.used_at bigint NOT NULL DEFAULT 0
signing_keys.activates_at bigint NOT NULL
signing_keys.alg text NOT NULL
signing_keys.created_at bigint NOT NULL
signing_keys.id text NOT NULL
signing_keys.private_key bytea NOT NULL
signing_keys.public_key bytea NOT NULL
signing_keys.purpose text NOT NULL
signing_keys.retired_at bigint NOT NULL DEFAULT 0
support_access.expires_at bigint NOT NULL DEFAULT 0
support_access.mode text NOT NULL
support_access.own_expires_at bigint NOT NULL DEFAULT 0
support_access.own_mode text NOT NULL DEFAULT ''::text
support_access.own_ticket_ref text NOT NULL DEFAULT ''::text
support_access.set_by text NOT NULL DEFAULT ''::text
support_access.ticket_ref text NOT NULL DEFAULT ''::text
support_access.updated_at bigint NOT NULL
support_access.user_id text NOT NULL
support_requests.actor_id text NOT NULL
support_requests.client_id text NOT NULL DEFAULT ''::text
support_requests.created_at bigint NOT NULL
support_requests.decided_at bigint NOT NULL DEFAULT 0
support_requests.expires_at bigint NOT NULL
support_requests.id text NOT NULL
support_requests.reason text NOT NULL
support_requests.status text NOT NULL DEFAULT 'pending'::text
support_requests.ticket_ref text NOT NULL DEFAULT ''::text
support_requests.user_id text NOT NULL
throttles.blocked_until bigint NOT NULL
throttles.expires_at bigint NOT NULL
throttles.failures bigint NOT NULL
throttles.key_hash bytea NOT NULL
tickets.access text NOT NULL
tickets.actor_id text NOT NULL
tickets.binding text NOT NULL
tickets.bound_at bigint NOT NULL DEFAULT 0
tickets.browser_hash bytea
tickets.client_id text NOT NULL
tickets.created_at bigint NOT NULL
tickets.created_by text NOT NULL DEFAULT ''::text
tickets.custom_claims text NOT NULL DEFAULT ''::text
tickets.delivery text NOT NULL DEFAULT 'initiate_login'::text
tickets.dialect text NOT NULL DEFAULT ''::text
tickets.duration bigint NOT NULL
tickets.entry text NOT NULL DEFAULT 'console'::text
tickets.expires_at bigint NOT NULL
tickets.id text NOT NULL
tickets.impersonation_id text NOT NULL DEFAULT ''::text
tickets.kept_until bigint NOT NULL DEFAULT 0
tickets.login_sid text NOT NULL DEFAULT ''::text
tickets.organization_id text NOT NULL DEFAULT ''::text
tickets.reason text NOT NULL
tickets.redeemed_at bigint NOT NULL DEFAULT 0
tickets.redirect_uri text NOT NULL DEFAULT ''::text
tickets.response_mode text NOT NULL DEFAULT ''::text
tickets.response_type text NOT NULL DEFAULT ''::text
tickets.revoked_at bigint NOT NULL DEFAULT 0
tickets.scope text NOT NULL DEFAULT ''::text
tickets.state text NOT NULL DEFAULT ''::text
tickets.subject_id text NOT NULL
tickets.target_link_uri text NOT NULL DEFAULT ''::text
tickets.ticket_ref text NOT NULL DEFAULT ''::text
tickets.token_hash bytea NOT NULL
tickets.updated_at bigint NOT NULL DEFAULT 0
tickets.validate_consent boolean NOT NULL DEFAULT false
tokens.audience text NOT NULL DEFAULT ''::text
tokens.client_id text NOT NULL
tokens.created_at bigint NOT NULL
tokens.expires_at bigint NOT NULL
tokens.generation bigint NOT NULL DEFAULT 0
tokens.grant_id text NOT NULL DEFAULT ''::text
tokens.hash bytea NOT NULL
tokens.kind text NOT NULL
tokens.scope text NOT NULL
tokens.successor bytea
tokens.used_at bigint NOT NULL DEFAULT 0
tree_hashes.hash bytea NOT NULL
tree_hashes.position bigint NOT NULL
used_assertions.expires_at bigint NOT NULL
used_assertions.id_hash bytea NOT NULL
user_roles.created_at bigint NOT NULL
user_roles.role text NOT NULL
user_roles.user_id text NOT NULL
users.address text NOT NULL DEFAULT ''::text
users.birthdate text NOT NULL DEFAULT ''::text
users.created_at bigint NOT NULL
users.deleted_at bigint NOT NULL DEFAULT 0
users.email text NOT NULL DEFAULT ''::text
users.email_key text NOT NULL
users.email_verified boolean NOT NULL DEFAULT false
users.family_name text NOT NULL DEFAULT ''::text
users.gender text NOT NULL DEFAULT ''::text
users.given_name text NOT NULL DEFAULT ''::text
users.id text NOT NULL
users.last_sign_in_at bigint NOT NULL DEFAULT 0
users.locale text NOT NULL DEFAULT ''::text
users.middle_name text NOT NULL DEFAULT ''::text
users.name text NOT NULL DEFAULT ''::text
users.never_impersonate boolean NOT NULL DEFAULT false
users.nickname text NOT NULL DEFAULT ''::text
users.password_changed_at bigint NOT NULL DEFAULT 0
users.password_hash text NOT NULL DEFAULT ''::text
users.phone_number text NOT NULL DEFAULT ''::text
users.phone_number_verified boolean NOT NULL DEFAULT false
users.picture text NOT NULL DEFAULT ''::text
users.preferred_username text NOT NULL DEFAULT ''::text
users.profile text NOT NULL DEFAULT ''::text
users.status text NOT NULL DEFAULT 'active'::text
users.updated_at bigint NOT NULL
users.website text NOT NULL DEFAULT ''::text
users.zoneinfo text NOT NULL DEFAULT ''::text
webhook_deliveries.attempts bigint NOT NULL DEFAULT 0
webhook_deliveries.claimed_until bigint NOT NULL DEFAULT 0
webhook_deliveries.created_at bigint NOT NULL
webhook_deliveries.done_at bigint NOT NULL DEFAULT 0
webhook_deliveries.error text NOT NULL DEFAULT ''::text
webhook_deliveries.event_id text NOT NULL
webhook_deliveries.event_type text NOT NULL
webhook_deliveries.expires_at bigint NOT NULL
webhook_deliveries.http_status bigint NOT NULL DEFAULT 0
webhook_deliveries.next_attempt_at bigint NOT NULL
webhook_deliveries.position bigint NOT NULL
webhook_deliveries.status text NOT NULL DEFAULT 'pending'::text
webhook_deliveries.tried_since bigint NOT NULL DEFAULT 0
webhook_deliveries.webhook_id text NOT NULL
webhooks.created_at bigint NOT NULL
webhooks.description text NOT NULL DEFAULT ''::text
webhooks.disabled_reason text NOT NULL DEFAULT ''::text
webhooks.event_types text NOT NULL DEFAULT '[]'::text
webhooks.failing_since bigint NOT NULL DEFAULT 0
webhooks.failures bigint NOT NULL DEFAULT 0
webhooks.id text NOT NULL
webhooks.position bigint NOT NULL
webhooks.previous_secret bytea
webhooks.previous_secret_until bigint NOT NULL DEFAULT 0
webhooks.retry_at bigint NOT NULL DEFAULT 0
webhooks.secret bytea NOT NULL
webhooks.status text NOT NULL DEFAULT 'active'::text
webhooks.updated_at bigint NOT NULL
webhooks.url text NOT NULL
api_keys: api_keys_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
api_keys: api_keys_name_check CHECK ((name <> ''::text))
api_keys: api_keys_pkey PRIMARY KEY (id)
api_keys: api_keys_secret_hash_key UNIQUE (secret_hash)
approvals: approvals_access_check CHECK ((access = ANY (ARRAY['read_only'::text, 'full'::text])))
approvals: approvals_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES users(id)
approvals: approvals_check CHECK ((actor_id <> subject_id))
approvals: approvals_check1 CHECK (((status <> ALL (ARRAY['approved'::text, 'used'::text])) OR ((((decided_by <> ''::text) AND (decided_by <> actor_id)) AND (decided_by <> subject_id)) AND (decided_by <> requested_by))))
approvals: approvals_check2 CHECK (((status = 'used'::text) = (impersonation_id <> ''::text)))
approvals: approvals_duration_check CHECK (((duration > 0) AND (duration <= '3600000000'::bigint)))
approvals: approvals_entry_check CHECK ((entry = ANY (ARRAY['consent'::text, 'console'::text, 'api'::text, 'token_exchange'::text])))
approvals: approvals_pkey PRIMARY KEY (id)
approvals: approvals_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'denied'::text, 'withdrawn'::text, 'used'::text])))
approvals: approvals_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES users(id)
checkpoints: checkpoints_pkey PRIMARY KEY (size)
client_holders: client_holders_holder_id_check CHECK ((holder_id <> ''::text))
client_holders: client_holders_pkey PRIMARY KEY (client_id, holder_id)
clients: clients_access_token_format_check CHECK ((access_token_format = ANY (ARRAY['jwt'::text, 'opaque'::text])))
clients: clients_default_max_age_check CHECK ((default_max_age >= 0))
clients: clients_delivery_check CHECK ((delivery = ANY (ARRAY['initiate_login'::text, 'callback'::text, 'link'::text])))
clients: clients_id_token_signed_response_alg_check CHECK ((id_token_signed_response_alg = ANY (ARRAY['RS256'::text, 'ES256'::text])))
clients: clients_pkey PRIMARY KEY (id)
clients: clients_request_object_signing_alg_check CHECK ((request_object_signing_alg = ANY (ARRAY[''::text, 'RS256'::text, 'PS256'::text, 'ES256'::text, 'EdDSA'::text])))
clients: clients_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text])))
clients: clients_subject_type_check CHECK ((subject_type = ANY (ARRAY['public'::text, 'pairwise'::text])))
clients: clients_token_endpoint_auth_method_check CHECK ((token_endpoint_auth_method = ANY (ARRAY['none'::text, 'client_secret_basic'::text, 'client_secret_post'::text, 'private_key_jwt'::text])))
clients: clients_token_endpoint_auth_signing_alg_check CHECK ((token_endpoint_auth_signing_alg = ANY (ARRAY[''::text, 'RS256'::text, 'PS256'::text, 'ES256'::text, 'EdDSA'::text])))
clients: clients_type_check CHECK ((type = ANY (ARRAY['web'::text, 'spa'::text, 'native'::text, 'service'::text])))
clients: clients_userinfo_signed_response_alg_check CHECK ((userinfo_signed_response_alg = ANY (ARRAY[''::text, 'RS256'::text, 'ES256'::text])))
consents: consents_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
consents: consents_pkey PRIMARY KEY (user_id, client_id)
consents: consents_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
deleted_organizations: deleted_organizations_pkey PRIMARY KEY (id)
denied_tokens: denied_tokens_pkey PRIMARY KEY (id)
events: events_pkey PRIMARY KEY (id)
events: events_position_check CHECK (("position" >= 0))
events: events_type_check CHECK ((type <> ''::text))
grants: grants_check CHECK (((actor_id = ''::text) = (impersonation_id = ''::text)))
grants: grants_code_hash_key UNIQUE (code_hash)
grants: grants_pkey PRIMARY KEY (id)
grants: grants_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
idempotent_requests: idempotent_requests_check CHECK (((status = 0) = (sealed IS NULL)))
idempotent_requests: idempotent_requests_pkey PRIMARY KEY (key_hash)
impersonations: impersonations_access_check CHECK ((access = ANY (ARRAY['read_only'::text, 'full'::text])))
impersonations: impersonations_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES users(id)
impersonations: impersonations_binding_check CHECK ((binding = ANY (ARRAY[''::text, 'actor_session'::text, 'bearer'::text])))
impersonations: impersonations_check CHECK ((actor_id <> subject_id))
impersonations: impersonations_check1 CHECK (((expires_at > started_at) AND (expires_at <= (started_at + '3600000000'::bigint))))
impersonations: impersonations_end_reason_check CHECK ((end_reason = ANY (ARRAY[''::text, 'stopped'::text, 'expired'::text, 'signed_out'::text, 'actor_disabled'::text, 'subject_disabled'::text, 'permission_lost'::text, 'client_disallowed'::text, 'switched_off'::text, 'credentials_changed'::text, 'reused_token'::text])))
impersonations: impersonations_entry_check CHECK ((entry = ANY (ARRAY['consent'::text, 'console'::text, 'api'::text, 'token_exchange'::text])))
impersonations: impersonations_pkey PRIMARY KEY (id)
impersonations: impersonations_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES users(id)
initial_access_tokens: initial_access_tokens_pkey PRIMARY KEY (id)
initial_access_tokens: initial_access_tokens_token_hash_key UNIQUE (token_hash)
initial_access_tokens: initial_access_tokens_uses_left_check CHECK ((uses_left >= 0))
interactions: interactions_pkey PRIMARY KEY (id_hash)
leases: leases_pkey PRIMARY KEY (name)
login_sessions: login_sessions_pkey PRIMARY KEY (id_hash)
login_sessions: login_sessions_sid_key UNIQUE (sid)
login_sessions: login_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
logout_notices: logout_notices_pkey PRIMARY KEY (id)
logout_notices: logout_notices_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
mails: mails_kind_check CHECK ((kind = ANY (ARRAY['impersonation_started'::text, 'impersonation_ended'::text, 'support_requested'::text, 'approval_requested'::text])))
mails: mails_pkey PRIMARY KEY (id)
mails: mails_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
mails: mails_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
memberships: memberships_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE
memberships: memberships_pkey PRIMARY KEY (organization_id, user_id)
memberships: memberships_role_fkey FOREIGN KEY (role) REFERENCES roles(name)
memberships: memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
organizations: organizations_name_check CHECK ((name <> ''::text))
organizations: organizations_name_key UNIQUE (name)
organizations: organizations_pkey PRIMARY KEY (id)
policies: policies_pkey PRIMARY KEY (id)
policies: policies_version_check CHECK ((version > 0))
policies: policies_version_key UNIQUE (version)
pushed_requests: pushed_requests_pkey PRIMARY KEY (id_hash)
reconsiderations: reconsiderations_pkey PRIMARY KEY (id)
roles: roles_pkey PRIMARY KEY (name)
session_clients: session_clients_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE
session_clients: session_clients_pkey PRIMARY KEY (sid, client_id)
settings: settings_pkey PRIMARY KEY (key)
setup_links: setup_links_pkey PRIMARY KEY (token_hash)
signing_keys: signing_keys_alg_check CHECK ((alg = ANY (ARRAY['RS256'::text, 'ES256'::text, 'EdDSA'::text])))
signing_keys: signing_keys_pkey PRIMARY KEY (id)
signing_keys: signing_keys_purpose_check CHECK ((purpose = ANY (ARRAY['token'::text, 'checkpoint'::text])))
support_access: support_access_check CHECK (((mode = 'ticket'::text) = (ticket_ref <> ''::text)))
support_access: support_access_check1 CHECK (((mode = 'denied'::text) = (expires_at = 0)))
support_access: support_access_mode_check CHECK ((mode = ANY (ARRAY['denied'::text, 'until'::text, 'ticket'::text])))
support_access: support_access_own_mode_check CHECK ((own_mode = ANY (ARRAY[''::text, 'denied'::text, 'until'::text, 'ticket'::text])))
support_access: support_access_pkey PRIMARY KEY (user_id)
support_access: support_access_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
support_requests: support_requests_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES users(id)
support_requests: support_requests_pkey PRIMARY KEY (id)
support_requests: support_requests_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'denied'::text])))
support_requests: support_requests_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
throttles: throttles_pkey PRIMARY KEY (key_hash)
tickets: tickets_access_check CHECK ((access = ANY (ARRAY['read_only'::text, 'full'::text])))
tickets: tickets_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES users(id)
tickets: tickets_binding_check CHECK ((binding = ANY (ARRAY['actor_session'::text, 'bearer'::text])))
tickets: tickets_delivery_check CHECK ((delivery = ANY (ARRAY['initiate_login'::text, 'callback'::text, 'link'::text])))
tickets: tickets_dialect_check CHECK ((dialect = ANY (ARRAY[''::text, 'clerk'::text, 'workos'::text, 'descope'::text, 'auth0'::text])))
tickets: tickets_entry_check CHECK ((entry = ANY (ARRAY['console'::text, 'api'::text])))
tickets: tickets_pkey PRIMARY KEY (id)
tickets: tickets_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES users(id)
tickets: tickets_token_hash_key UNIQUE (token_hash)
tokens: tokens_kind_check CHECK ((kind = ANY (ARRAY['refresh_token'::text, 'access_token'::text])))
tokens: tokens_pkey PRIMARY KEY (hash)
tree_hashes: tree_hashes_pkey PRIMARY KEY ("position")
used_assertions: used_assertions_pkey PRIMARY KEY (id_hash)
user_roles: user_roles_pkey PRIMARY KEY (user_id, role)
user_roles: user_roles_role_fkey FOREIGN KEY (role) REFERENCES roles(name)
user_roles: user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
users: users_email_key_check CHECK ((email_key <> ''::text))
users: users_email_key_key UNIQUE (email_key)
users: users_pkey PRIMARY KEY (id)
users: users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text])))
webhook_deliveries: webhook_deliveries_event_id_fkey FOREIGN KEY (event_id) REFERENCES events(id)
webhook_deliveries: webhook_deliveries_pkey PRIMARY KEY (webhook_id, event_id)
webhook_deliveries: webhook_deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
webhook_deliveries: webhook_deliveries_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks(id) ON DELETE CASCADE
webhooks: webhooks_check CHECK (((status = 'disabled'::text) = (disabled_reason <> ''::text)))
webhooks: webhooks_check1 CHECK (((previous_secret IS NULL) = (previous_secret_until = 0)))
webhooks: webhooks_check2 CHECK (((failures = 0) = (failing_since = 0)))
webhooks: webhooks_disabled_reason_check CHECK ((disabled_reason = ANY (ARRAY[''::text, 'operator'::text, 'gone'::text, 'failing'::text])))
webhooks: webhooks_pkey PRIMARY KEY (id)
webhooks: webhooks_position_check CHECK (("position" >= 0))
webhooks: webhooks_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text])))
webhooks: webhooks_url_check CHECK ((url <> ''::text))
CREATE INDEX api_keys_client ON public.api_keys USING btree (client_id) WHERE (client_id IS NOT NULL);
CREATE INDEX api_keys_created ON public.api_keys USING btree (created_at, id);
CREATE INDEX api_keys_organization ON public.api_keys USING btree (organization_id, created_at, id) WHERE (organization_id IS NOT NULL);
CREATE UNIQUE INDEX api_keys_pkey ON public.api_keys USING btree (id);
CREATE UNIQUE INDEX api_keys_secret_hash_key ON public.api_keys USING btree (secret_hash);
CREATE INDEX approvals_actor ON public.approvals USING btree (actor_id, status);
CREATE INDEX approvals_created ON public.approvals USING btree (created_at, id);
CREATE INDEX approvals_kept ON public.approvals USING btree (kept_until);
CREATE INDEX approvals_pending ON public.approvals USING btree (expires_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX approvals_pkey ON public.approvals USING btree (id);
CREATE UNIQUE INDEX checkpoints_pkey ON public.checkpoints USING btree (size);
CREATE UNIQUE INDEX client_holders_pkey ON public.client_holders USING btree (client_id, holder_id);
CREATE INDEX clients_name ON public.clients USING btree (name, id);
CREATE UNIQUE INDEX clients_pkey ON public.clients USING btree (id);
CREATE UNIQUE INDEX consents_pkey ON public.consents USING btree (user_id, client_id);
CREATE UNIQUE INDEX deleted_organizations_pkey ON public.deleted_organizations USING btree (id);
CREATE INDEX denied_tokens_expiry ON public.denied_tokens USING btree (expires_at);
CREATE UNIQUE INDEX denied_tokens_pkey ON public.denied_tokens USING btree (id);
CREATE INDEX events_actor ON public.events USING btree (actor_id, "time", id) WHERE ((actor_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_actor_position ON public.events USING btree (actor_id, "position") WHERE ((actor_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_client ON public.events USING btree (client_id, "time", id) WHERE ((client_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_client_position ON public.events USING btree (client_id, "position") WHERE ((client_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_impersonation ON public.events USING btree (impersonation_id) WHERE ((impersonation_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_organization_position ON public.events USING btree (organization_id, "position") WHERE ((organization_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_pending ON public.events USING btree ("time", id) WHERE ("position" IS NULL);
CREATE UNIQUE INDEX events_pkey ON public.events USING btree (id);
CREATE UNIQUE INDEX events_position ON public.events USING btree ("position") WHERE ("position" IS NOT NULL);
CREATE INDEX events_subject ON public.events USING btree (subject_id, "time", id) WHERE ((subject_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_subject_position ON public.events USING btree (subject_id, "position") WHERE ((subject_id <> ''::text) AND ("position" IS NOT NULL));
CREATE INDEX events_time ON public.events USING btree ("time", id) WHERE ("position" IS NOT NULL);
CREATE INDEX events_type ON public.events USING btree (type, "time", id) WHERE ("position" IS NOT NULL);
CREATE INDEX events_type_position ON public.events USING btree (type, "position") WHERE ("position" IS NOT NULL);
CREATE UNIQUE INDEX grants_code_hash_key ON public.grants USING btree (code_hash);
CREATE INDEX grants_expiry ON public.grants USING btree (expires_at);
CREATE INDEX grants_impersonation ON public.grants USING btree (impersonation_id) WHERE (impersonation_id <> ''::text);
CREATE UNIQUE INDEX grants_pkey ON public.grants USING btree (id);
CREATE INDEX grants_user ON public.grants USING btree (user_id);
CREATE INDEX idempotent_requests_expiry ON public.idempotent_requests USING btree (expires_at);
CREATE UNIQUE INDEX idempotent_requests_pkey ON public.idempotent_requests USING btree (key_hash);
CREATE INDEX impersonations_actor ON public.impersonations USING btree (actor_id, started_at);
CREATE INDEX impersonations_client ON public.impersonations USING btree (client_id, started_at, id) WHERE (ended_at <> 0);
CREATE INDEX impersonations_login ON public.impersonations USING btree (login_sid, client_id) WHERE ((ended_at = 0) AND (login_sid <> ''::text));
CREATE INDEX impersonations_open ON public.impersonations USING btree (started_at, id, expires_at) WHERE (ended_at = 0);
CREATE INDEX impersonations_organization ON public.impersonations USING btree (organization_id, started_at, id) WHERE ((organization_id <> ''::text) AND (ended_at <> 0));
CREATE UNIQUE INDEX impersonations_pkey ON public.impersonations USING btree (id);
CREATE INDEX impersonations_started ON public.impersonations USING btree (started_at, id) WHERE (ended_at <> 0);
CREATE INDEX impersonations_subject ON public.impersonations USING btree (subject_id, started_at) WHERE (ended_at <> 0);
CREATE INDEX initial_access_tokens_expiry ON public.initial_access_tokens USING btree (expires_at);
CREATE UNIQUE INDEX initial_access_tokens_pkey ON public.initial_access_tokens USING btree (id);
CREATE UNIQUE INDEX initial_access_tokens_token_hash_key ON public.initial_access_tokens USING btree (token_hash);
CREATE INDEX interactions_expiry ON public.interactions USING btree (expires_at);
CREATE UNIQUE INDEX interactions_pkey ON public.interactions USING btree (id_hash);
CREATE UNIQUE INDEX leases_pkey ON public.leases USING btree (name);
CREATE INDEX login_sessions_expiry ON public.login_sessions USING btree (expires_at);
CREATE UNIQUE INDEX login_sessions_pkey ON public.login_sessions USING btree (id_hash);
CREATE UNIQUE INDEX login_sessions_sid_key ON public.login_sessions USING btree (sid);
CREATE INDEX login_sessions_user ON public.login_sessions USING btree (user_id);
CREATE INDEX logout_notices_client ON public.logout_notices USING btree (client_id, created_at);
CREATE INDEX logout_notices_expiry ON public.logout_notices USING btree (expires_at);
CREATE INDEX logout_notices_impersonation ON public.logout_notices USING btree (impersonation_id) WHERE (impersonation_id <> ''::text);
CREATE INDEX logout_notices_pending ON public.logout_notices USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX logout_notices_pkey ON public.logout_notices USING btree (id);
CREATE INDEX mails_due ON public.mails USING btree (next_attempt_at) WHERE (status = 'pending'::text);
CREATE INDEX mails_expiry ON public.mails USING btree (expires_at);
CREATE UNIQUE INDEX mails_pkey ON public.mails USING btree (id);
CREATE UNIQUE INDEX memberships_pkey ON public.memberships USING btree (organization_id, user_id);
CREATE INDEX memberships_user ON public.memberships USING btree (user_id);
CREATE UNIQUE INDEX organizations_name_key ON public.organizations USING btree (name);
CREATE UNIQUE INDEX organizations_pkey ON public.organizations USING btree (id);
CREATE UNIQUE INDEX policies_pkey ON public.policies USING btree (id);
CREATE UNIQUE INDEX policies_version_key ON public.policies USING btree (version);
CREATE INDEX pushed_requests_expiry ON public.pushed_requests USING btree (expires_at);
CREATE UNIQUE INDEX pushed_requests_pkey ON public.pushed_requests USING btree (id_hash);
CREATE UNIQUE INDEX reconsiderations_pkey ON public.reconsiderations USING btree (id);
CREATE UNIQUE INDEX roles_pkey ON public.roles USING btree (name);
CREATE INDEX session_clients_expiry ON public.session_clients USING btree (expires_at);
CREATE UNIQUE INDEX session_clients_pkey ON public.session_clients USING btree (sid, client_id);
CREATE UNIQUE INDEX settings_pkey ON public.settings USING btree (key);
CREATE INDEX setup_links_expiry ON public.setup_links USING btree (expires_at);
CREATE UNIQUE INDEX setup_links_pkey ON public.setup_links USING btree (token_hash);
CREATE UNIQUE INDEX signing_keys_pkey ON public.signing_keys USING btree (id);
CREATE UNIQUE INDEX support_access_pkey ON public.support_access USING btree (user_id);
CREATE INDEX support_requests_expiry ON public.support_requests USING btree (expires_at);
CREATE UNIQUE INDEX support_requests_pkey ON public.support_requests USING btree (id);
CREATE INDEX support_requests_user ON public.support_requests USING btree (user_id, created_at);
CREATE UNIQUE INDEX throttles_pkey ON public.throttles USING btree (key_hash);
CREATE INDEX tickets_accepted ON public.tickets USING btree (created_at, id) WHERE ((redeemed_at <> 0) AND (revoked_at = 0));
CREATE INDEX tickets_actor ON public.tickets USING btree (actor_id, created_at, id);
CREATE INDEX tickets_client ON public.tickets USING btree (client_id, created_at, id);
CREATE INDEX tickets_created ON public.tickets USING btree (created_at, id);
CREATE INDEX tickets_creator ON public.tickets USING btree (created_by, created_at, id) WHERE (created_by <> ''::text);
CREATE INDEX tickets_kept ON public.tickets USING btree (kept_until);
CREATE INDEX tickets_login ON public.tickets USING btree (login_sid, client_id) WHERE (login_sid <> ''::text);
CREATE INDEX tickets_open ON public.tickets USING btree (created_at, id) WHERE ((redeemed_at = 0) AND (revoked_at = 0));
CREATE INDEX tickets_organization ON public.tickets USING btree (organization_id, created_at, id) WHERE (organization_id <> ''::text);
CREATE UNIQUE INDEX tickets_pkey ON public.tickets USING btree (id);
CREATE INDEX tickets_revoked ON public.tickets USING btree (created_at, id) WHERE (revoked_at <> 0);
CREATE INDEX tickets_subject ON public.tickets USING btree (subject_id, created_at, id);
CREATE UNIQUE INDEX tickets_token_hash_key ON public.tickets USING btree (token_hash);
CREATE INDEX tokens_expiry ON public.tokens USING btree (expires_at);
CREATE INDEX tokens_grant ON public.tokens USING btree (grant_id);
CREATE UNIQUE INDEX tokens_pkey ON public.tokens USING btree (hash);
CREATE UNIQUE INDEX tree_hashes_pkey ON public.tree_hashes USING btree ("position");
CREATE UNIQUE INDEX used_assertions_pkey ON public.used_assertions USING btree (id_hash);
CREATE UNIQUE INDEX user_roles_pkey ON public.user_roles USING btree (user_id, role);
CREATE INDEX users_created ON public.users USING btree (created_at, id) WHERE (deleted_at = 0);
CREATE UNIQUE INDEX users_email_key_key ON public.users USING btree (email_key);
CREATE INDEX users_email_prefix ON public.users USING btree (email_key COLLATE "C") WHERE (deleted_at = 0);
CREATE INDEX users_name ON public.users USING btree (name, id);
CREATE INDEX users_name_prefix ON public.users USING btree ((((lower(name) || chr(1)) || id)) COLLATE "C") WHERE (deleted_at = 0);
CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id);
CREATE INDEX webhook_deliveries_created ON public.webhook_deliveries USING btree (webhook_id, created_at, event_id);
CREATE INDEX webhook_deliveries_expiry ON public.webhook_deliveries USING btree (expires_at);
CREATE INDEX webhook_deliveries_pending ON public.webhook_deliveries USING btree (webhook_id, next_attempt_at, "position") WHERE (status = 'pending'::text);
CREATE UNIQUE INDEX webhook_deliveries_pkey ON public.webhook_deliveries USING btree (webhook_id, event_id);
CREATE INDEX webhook_deliveries_status ON public.webhook_deliveries USING btree (webhook_id, status, created_at, event_id);
CREATE UNIQUE INDEX webhooks_pkey ON public.webhooks USING btree (id);
CREATE OR REPLACE FUNCTION public.append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $function$
;
CREATE OR REPLACE FUNCTION public.events_update()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF (OLD.position IS NULL OR NEW.position IS NOT DISTINCT FROM OLD.position)
        AND NEW.private IN (OLD.private, '')
        AND (NEW.id, NEW.time, NEW.type, NEW.actor_id, NEW.subject_id, NEW.client_id, NEW.organization_id, NEW.impersonation_id, NEW.request_id, NEW.data)
          = (OLD.id, OLD.time, OLD.type, OLD.actor_id, OLD.subject_id, OLD.client_id, OLD.organization_id, OLD.impersonation_id, OLD.request_id, OLD.data)
        AND NEW.private_hash IS NOT DISTINCT FROM OLD.private_hash THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events is append-only';
END $function$
;
CREATE TRIGGER checkpoints_no_change BEFORE DELETE OR UPDATE ON public.checkpoints FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON public.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER events_no_delete BEFORE DELETE ON public.events FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER events_no_update BEFORE UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION events_update();
CREATE TRIGGER policies_no_change BEFORE DELETE OR UPDATE ON public.policies FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON public.policies FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER tree_hashes_no_change BEFORE DELETE OR UPDATE ON public.tree_hashes FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER tree_hashes_no_truncate BEFORE TRUNCATE ON public.tree_hashes FOR EACH STATEMENT EXECUTE FUNCTION append_only();
