-- +goose Up
-- Who may know what a client authenticates with: who registered it, gave it a secret or
-- said what its keys are. Operators on the command line are nobody.
CREATE TABLE client_holders (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    holder_id TEXT NOT NULL CHECK (holder_id <> ''),
    PRIMARY KEY (client_id, holder_id)
);
INSERT INTO client_holders (client_id, holder_id)
    SELECT DISTINCT e.client_id, e.actor_id FROM events e JOIN clients c ON c.id = e.client_id
    WHERE e.actor_id <> '' AND (e.type IN ('client.created', 'client.secret_rotated')
        OR e.type = 'client.updated' AND (e.data LIKE '%"jwks%' OR e.data LIKE '%"token_endpoint_auth_method"%'));

-- +goose Down
DROP TABLE client_holders;
