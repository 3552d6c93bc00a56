package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/semaphore"
)

// ErrBusy says that too many passwords are being checked at the moment.
var ErrBusy = errors.New("too many sign-ins at the moment")

// maxPassword is how long a password may be, in bytes.
const maxPassword = 1024

// hashing is OWASP's first choice for argon2id: 19 MiB, two passes.
var hashing = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords bounds how much memory and time password checks may take, so that a
// flood of sign-ins does not starve the token endpoint (SECURITY H02).
type passwords struct {
	slots    *semaphore.Weighted
	patience time.Duration
	hashing  *argon2id.Params
	dummy    string // what an unknown user's password is compared with
}

func newPasswords(concurrent int, patience time.Duration, hashing *argon2id.Params) *passwords {
	if concurrent == 0 {
		concurrent = runtime.NumCPU()
	}
	otherwise(&patience, 2*time.Second)
	return &passwords{semaphore.NewWeighted(int64(concurrent)), patience, hashing, dummyHash(hashing)}
}

// dummyHash returns a hash that no password has. Making a real one would cost the
// memory of a sign-in at every start.
func dummyHash(hashing *argon2id.Params) string {
	random := func(n uint32) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	return encodeHash(hashing, random(hashing.SaltLength), random(hashing.KeyLength))
}

// HashPassword returns the hash to store for a password.
func HashPassword(password string) (string, error) { return hashPassword(password, hashing) }

func hashPassword(password string, hashing *argon2id.Params) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	return argon2id.CreateHash(password, hashing)
}

// checkPassword says whether somebody may have it as a password.
func checkPassword(password string) error {
	if n := len([]rune(password)); n < 8 || len(password) > maxPassword {
		return Invalid{fmt.Errorf("password: want 8 to %d characters, got %d", maxPassword, n)}
	}
	return nil
}

// What a hash made elsewhere may cost a sign-in, about a second at most: bcrypt's
// cost, and of argon2id the memory in KiB, the passes, their product and the lanes.
const (
	maxBcryptCost   = 14
	maxArgonMemory  = 256 << 10
	maxArgonPasses  = 16
	maxArgonProduct = 1 << 20
	maxArgonLanes   = 16
)

var bcryptHash = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// checkHash says whether check can compare passwords with a hash that was made
// elsewhere, and can afford to. It never says the hash (SECURITY G04).
func checkHash(hash string) error {
	if bcryptHash.MatchString(hash) {
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost > maxBcryptCost {
			return fmt.Errorf("want bcrypt with a cost of %d to %d", bcrypt.MinCost, maxBcryptCost)
		}
		return nil
	}
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil || hash != encodeHash(p, salt, key) {
		return errors.New("want a bcrypt hash ($2a$, $2b$ or $2y$) or an argon2id hash ($argon2id$v=19$m=...,t=...,p=...$salt$hash)")
	}
	switch lanes := uint32(p.Parallelism); {
	case lanes < 1 || lanes > maxArgonLanes,
		p.Memory < 8*lanes || p.Memory > maxArgonMemory,
		p.Iterations < 1 || p.Iterations > maxArgonPasses,
		p.Memory*p.Iterations > maxArgonProduct:
		return fmt.Errorf("want argon2id with m of 8p to %d, t of 1 to %d, p of 1 to %d, and m times t at most %d",
			maxArgonMemory, maxArgonPasses, maxArgonLanes, maxArgonProduct)
	case len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64:
		return errors.New("want argon2id with a salt of 8 to 64 bytes and a hash of 16 to 64")
	}
	return nil
}

// encodeHash is how a hash of argon2id is written.
func encodeHash(p *argon2id.Params, salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism, b64(salt), b64(key))
}

// check compares a password with a stored hash; an empty hash matches nothing and
// takes as long as any. better is a hash to store instead, where the old one was
// made with other parameters.
func (p *passwords) check(ctx context.Context, password, hash string) (ok bool, better string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return false, "", ErrBusy
	}
	defer p.slots.Release(1)
	if len(password) > maxPassword {
		password, hash = "", ""
	}
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	if strings.HasPrefix(hash, "$2") {
		ok = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	} else {
		var params *argon2id.Params
		if ok, params, err = argon2id.CheckHash(password, hash); err != nil {
			return false, "", fmt.Errorf("check password: %w", err)
		}
		if params.Memory == p.hashing.Memory && params.Iterations == p.hashing.Iterations && params.Parallelism == p.hashing.Parallelism {
			return ok && known, "", nil
		}
	}
	if ok && known {
		better, err = argon2id.CreateHash(password, p.hashing)
	}
	return ok && known, better, err
}
