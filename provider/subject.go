package provider

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"

	"github.com/understudy-id/understudy/storage"
)

// subjectFor returns the sub by which a client knows a user: the user's id, or for
// a pairwise client a name that no other sector can connect with it (OpenID Connect
// Core 8.1).
func (p *Provider) subjectFor(ctx context.Context, c *storage.Client, userID string) (string, error) {
	salt, err := p.saltFor(ctx, c)
	return subjectWith(salt, c, userID), err
}

// saltFor returns what a client's subjects are made with, empty where they are the
// users' ids. It is read once.
func (p *Provider) saltFor(ctx context.Context, c *storage.Client) (string, error) {
	if c.SubjectType != storage.SubjectPairwise {
		return "", nil
	}
	if salt := p.pairwiseSalt.Load(); salt != nil {
		return *salt, nil
	}
	salt, err := p.store.PairwiseSalt(ctx, rand.Text())
	if err == nil {
		p.pairwiseSalt.Store(&salt)
	}
	return salt, err
}

func subjectWith(salt string, c *storage.Client, userID string) string {
	if salt == "" {
		return userID
	}
	return "pw_" + withSalt(salt, sectorOf(c), userID)
}

// sidWith returns the sid by which a client knows a sign-in. Clients that know their
// users by names of their own could connect them by a sid that they share.
func sidWith(salt string, c *storage.Client, sid string) string {
	if salt == "" {
		return sid
	}
	return "sid_" + withSalt(salt, sectorOf(c), sid)
}

func withSalt(salt, sector, name string) string {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte(sector + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sectorOf returns the host that a client's pairwise subjects are for: of its sector
// identifier, or of its redirect URIs, which then have one host. A loopback address is
// nobody's, so there a client is by itself.
func sectorOf(c *storage.Client) string {
	for _, uri := range append([]string{c.SectorIdentifierURI}, c.RedirectURIs...) {
		if u, err := url.Parse(uri); err == nil && u.Host != "" && !loopbackHost(u.Hostname()) {
			return u.Hostname()
		}
	}
	return c.ID
}
