package actor

import (
	"cmp"
	"net/url"
	"time"
)

// FromResponse is From for a sign-in: claims are those of the verified ID token, and
// extra returns the other members of the token response that brought it, as Extra of
// an oauth2.Token does.
//
// The claims alone decide whether somebody acts. What `impersonation` and
// `impersonator` say is added to it: the end, the access, the reason, an e-mail
// address. A response that speaks of an impersonation, and claims that do not, are
// an error.
func FromResponse(claims map[string]any, extra func(name string) any) (*Actor, error) {
	a, err := From(claims)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name string
		read func(*Actor, map[string]any) error
	}{{"impersonation", (*Actor).readImpersonation}, {"impersonator", (*Actor).readImpersonator}} {
		member := extra(c.name)
		if member == nil {
			continue
		}
		what, ok := member.(map[string]any)
		switch {
		case !ok:
			return nil, unclear("%s: not an object", c.name)
		case a == nil:
			return nil, unclear("%s: the ID token has no act", c.name)
		}
		if err := c.read(a, what); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Actor) readImpersonation(what map[string]any) error {
	if what["id"] != a.Impersonation || a.Impersonation == "" {
		return unclear("impersonation.id: not the sid of the ID token")
	}
	end, _ := what["expires_at"].(string)
	expires, err := time.Parse(time.RFC3339, end)
	if err != nil {
		return unclear("impersonation.expires_at: not a time")
	}
	access, _ := what["access"].(string)
	if a.Access = Access(access); a.Access != ReadOnly && a.Access != Full {
		return unclear("impersonation.access: neither read_only nor full")
	}
	a.Expires = expires.UTC()
	if err := text(what, "impersonation.", "stop_uri", &a.StopURI); err != nil || a.StopURI == "" {
		return err
	}
	if u, err := url.Parse(a.StopURI); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return unclear("impersonation.stop_uri: not a web address")
	}
	return nil
}

func (a *Actor) readImpersonator(what map[string]any) error {
	var email string
	if err := text(what, "impersonator.", "email", &email); err != nil {
		return err
	}
	a.Email = cmp.Or(a.Email, email)
	return text(what, "impersonator.", "reason", &a.Reason)
}
