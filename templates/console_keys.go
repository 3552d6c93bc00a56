package templates

import (
	"net/http"
	"time"
)

// KeysPage lists signing keys, the newest first.
type KeysPage struct {
	Page
	Keys     []KeyRow
	Interval time.Duration // after which keys are replaced by themselves; zero: never
	Now      time.Time
}

// Days is how many days there are between two keys.
func (p KeysPage) Days() int { return int(p.Interval.Hours() / 24) }

// KeyRow is a signing key in a list.
type KeyRow struct {
	ID, Alg   string
	State     string // next, signing, verifying or retired
	Tokens    bool   // it signs tokens; else checkpoints of the record
	CreatedAt time.Time
	SignsFrom time.Time
	Until     time.Time // when what it signed is of no more use; zero: not known
	RetiredAt time.Time
}

// Keys posts to /admin/keys/rotate.
func (s *Set) Keys(w http.ResponseWriter, status int, p KeysPage) error {
	return s.render(w, status, "console/keys", p)
}

// ReplaceKeysPage asks whether to replace keys at once.
type ReplaceKeysPage struct {
	Page
	Algs    []Option
	Confirm bool // the password is to be shown
	Errors  []FieldError
}

// ReplaceKeys posts alg, once for each, and password to /admin/keys/replace.
func (s *Set) ReplaceKeys(w http.ResponseWriter, status int, p ReplaceKeysPage) error {
	return s.render(w, status, "console/keys_replace", replaceKeysView{p, problems(p.Errors)})
}

type replaceKeysView struct {
	ReplaceKeysPage
	Problem map[string]string
}
