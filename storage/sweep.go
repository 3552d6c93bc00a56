package storage

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// sweepBatch bounds one DELETE, so that no sweep holds the writer for long.
const sweepBatch = 500

// Sweep removes what nobody can use or ask about any more. Spent codes and
// tokens stay until they would have expired by themselves: until then a second
// use must be recognized. It returns how many rows went.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for _, t := range []struct{ table, key, expiry string }{
		{"tokens", "hash", "expires_at"},
		{"grants", "id", "expires_at"},
		{"denied_tokens", "id", "expires_at"},
		{"interactions", "id_hash", "expires_at"},
		{"login_sessions", "id_hash", "expires_at"},
		{"tickets", "id", "kept_until"},
		{"throttles", "key_hash", "expires_at"},
		{"pushed_requests", "id_hash", "expires_at"},
		{"used_assertions", "id_hash", "expires_at"},
		{"session_clients", "(sid, client_id)", "expires_at"},
		{"logout_notices", "id", "expires_at"},
		{"initial_access_tokens", "id", "expires_at"},
		{"setup_links", "token_hash", "expires_at"},
		{"support_requests", "id", "expires_at"},
		{"idempotent_requests", "key_hash", "expires_at"},
		{"webhook_deliveries", "(webhook_id, event_id)", "expires_at"},
		{"approvals", "id", "kept_until"},
		{"mails", "id", "expires_at"},
	} {
		statement := fmt.Sprintf(`DELETE FROM %s WHERE %s IN (SELECT %s FROM %s WHERE %s > 0 AND %s < ? LIMIT %d)`,
			t.table, t.key, strings.Trim(t.key, "()"), t.table, t.expiry, t.expiry, sweepBatch)
		for {
			var n int64
			err := s.Write(ctx, func(tx *Tx) error {
				res := tx.conn(ctx).Exec(statement, At(now))
				n = res.RowsAffected
				return res.Error
			})
			if err != nil {
				return total, fmt.Errorf("sweep %s: %w", t.table, err)
			}
			total += n
			if n < sweepBatch {
				break
			}
		}
	}
	return total, nil
}
