package impersonation

import "github.com/understudy-id/understudy/storage"

// Words are whose words somebody asked in: the API of another vendor. What is asked, and
// what the rules say to it, is the same.
type Words struct {
	Dialect string // clerk, workos, descope or auth0; empty: ours
	// ReasonMade: nobody gave a reason, for which that vendor has no place. The ask's
	// reason says so.
	ReasonMade bool
}

// note adds to an event what was asked in other words than ours.
func (w Words) note(d storage.Data) storage.Data {
	if w.Dialect != "" {
		d["dialect"] = w.Dialect
	}
	if w.ReasonMade {
		d["reason"] = "generated"
	}
	return d
}
