package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// descopeJWT is a JWT as Descope's SDKs verify it, with our keys and without asking us
// whether it still stands: whatever it says ends when it expires, and so it expires
// with its impersonation. Its typ keeps it from being taken for a token of the
// standards, in either direction (SECURITY A24).
type descopeJWT struct {
	Issuer   string              `json:"iss"` // an address that ends with the project, which is a client here
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	Expires  int64               `json:"exp"`
	IssuedAt int64               `json:"iat"`
	ID       string              `json:"jti"`
	Kind     string              `json:"drn"`
	AMR      []string            `json:"amr"` // empty: nobody showed anything
	Tenant   string              `json:"dct,omitempty"`
	Tenants  map[string]struct{} `json:"tenants,omitempty"`
	SID      string              `json:"sid"`
	GrantID  string              `json:"gid"`
	Act      json.RawMessage     `json:"act,omitempty"`
}

// What Descope calls its JWTs.
const (
	descopeRefresh = "DSR"
	descopeSession = "DS"
)

// descopeTypes are the types of these JWTs, by what Descope calls them.
var descopeTypes = map[string]string{descopeRefresh: typRefresh, descopeSession: typSession}

var (
	errNoRefreshJWT = errInvalidRequest.with("This is not a refresh JWT of this project.")
	errDescopeEnded = errInvalidToken.with("The session of this JWT has ended.")
	// errDescopeLess keeps what the policy left of an actor's access from being lost.
	errDescopeLess = &Error{
		Code: "access_denied", Status: http.StatusForbidden,
		Description: "The policy allows this with fewer rights than the user's, and a JWT of this kind cannot say so. Start it in another way.",
	}
)

// DescopeImpersonate starts an impersonation without a browser, of the usual duration
// where ask has none, and returns the subject's refresh JWT, which ends with it. It has no scopes
// that could be fewer: where the policy leaves less than full access there is none. What is
// wrong with the request is Invalid. A refusal is a Denial, on the record.
func (p *Provider) DescopeImpersonate(ctx context.Context, ask impersonation.Ask, custom map[string]any, info storage.Request, now time.Time) (string, error) {
	var err error
	if ask.CustomClaims, err = descopeCustom(custom); err != nil {
		return "", err
	}
	ask.Duration = cmp.Or(ask.Duration, p.Impersonation.Limits().DefaultDuration)
	s, err := p.sessionOfAct(ctx, As{Ask: &ask}, now)
	if err != nil {
		return "", err
	}
	err = impersonation.Write(ctx, p.store, func(tx *storage.Tx) error {
		i, err := p.Impersonation.Start(ctx, tx, ask, s.ImpersonationID, info, now)
		if err != nil {
			return err
		}
		if i.Access != string(impersonation.Full) || len(i.Scopes) > 0 {
			return impersonation.DenyAccess
		}
		s.Organization, s.NotAfter = i.OrganizationID, i.ExpiresAt.Time()
		if err := tx.CreateGrant(ctx, bareGrant(s, ask.Client, now)); err != nil {
			return fmt.Errorf("create grant: %w", err)
		}
		return recordIssued(ctx, tx, s, ask.Client.ID, "descope", info)
	})
	if err != nil {
		err = Malformed(p.Impersonation.Refused(ctx, err, ask, info, now))
		if errors.Is(err, impersonation.DenyAccess) {
			err = errDescopeLess.because(err)
		}
		return "", err
	}
	return p.signDescope(s, ask.Client, descopeRefresh, s.NotAfter, now)
}

// descopeCustom returns what is kept of custom claims.
func descopeCustom(claims map[string]any) (string, error) {
	custom, err := customClaims(claims)
	if err != nil {
		return "", invalid(FieldError{Field: "customClaims", Wrong: err.Error()})
	}
	return custom, nil
}

// DescopeStop ends the impersonation that a refresh JWT is of, for a client's key, and
// returns one of the actor's own. Nobody signed in for that, so it says so, gives no
// scopes, and lives no longer than the impersonation would have, or than asked for; zero:
// nothing was. What is out of the key's reach is as good as no JWT: the actor's own is for
// who may ask in their place, and gives a key nobody who may do more than it (SECURITY F08).
func (p *Provider) DescopeStop(
	ctx context.Context, c *storage.Client, token, organization string, custom map[string]any, lives time.Duration, caller impersonation.Caller,
	info storage.Request, now time.Time,
) (string, error) {
	claims, err := descopeCustom(custom)
	if err != nil {
		return "", err
	}
	g, err := p.descopeGrant(ctx, c.ID, token, now)
	if err != nil {
		return "", err
	}
	if g.ImpersonationID == "" {
		return "", errInvalidRequest.with("Nobody acts as another by this JWT.")
	}
	standing, err := p.store.Standing(ctx, g.ActorID)
	if err != nil {
		return "", fmt.Errorf("load standing: %w", err)
	}
	if !caller.Reaches(standing, g.OrganizationID) || organization != "" && !caller.Reaches(standing, organization) {
		return "", errNoRefreshJWT
	}
	own, refusal := p.descopeOwn(ctx, c, g, caller.Standing, standing, organization)
	if refusal == nil && claims != "" {
		own.Custom = json.RawMessage(claims)
	}
	if ends := now.Add(lives); refusal == nil && lives > 0 && ends.Before(own.NotAfter) {
		own.NotAfter = ends
	}
	if refusal != nil && !isRefusal(refusal) {
		return "", refusal
	}
	by := storage.Cause{By: caller.ID, Request: info}
	err = p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.StopImpersonation(ctx, g.ImpersonationID, by, now); err != nil {
			return err
		}
		if refusal != nil {
			return nil //nolint:nilerr // it ends all the same
		}
		if err := tx.CreateGrant(ctx, bareGrant(own, c, now)); err != nil {
			return fmt.Errorf("create grant: %w", err)
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventTokenIssued, ActorID: by.By, SubjectID: own.Subject, ClientID: c.ID, OrganizationID: own.Organization,
			Data: storage.Data{"grant": own.GrantID, "grant_type": "descope_stop", "after": g.ImpersonationID},
		}, storage.Private{}, by.Request, now)
	})
	if errors.Is(err, storage.ErrSpent) {
		return "", errDescopeEnded
	}
	if err = errors.Join(err, refusal); err != nil {
		return "", err
	}
	return p.signDescope(own, c, descopeRefresh, own.NotAfter, now)
}

// descopeOwn is what the actor's own JWT says after an impersonation, or why there is
// none: an Error.
func (p *Provider) descopeOwn(
	ctx context.Context, c *storage.Client, g *storage.Granted, caller, standing storage.Standing, organization string,
) (*Session, error) {
	actor, err := p.store.User(ctx, g.ActorID)
	if err != nil {
		return nil, fmt.Errorf("load actor: %w", err)
	}
	sub, err := p.subjectFor(ctx, c, actor.ID)
	switch {
	case err != nil:
		return nil, err
	case !actor.Active(), actor.NeverImpersonate, !standsIn(caller, standing),
		len(c.Organizations) > 0 && !slices.ContainsFunc(c.Organizations, standing.MemberOf),
		organization != "" && !standing.MemberOf(organization):
		return nil, errAccessDenied.with("The impersonation has ended. Whoever acted may not be there themselves.")
	}
	s := &Session{GrantID: storage.NewID("gr"), Subject: actor.ID, Sub: sub, SID: storage.NewID("sid"), Organization: organization, NotAfter: g.ExpiresAt.Time()}
	return s, nil
}

// ofSupport is what somebody has to hold to act as others, and to find them.
var ofSupport = []string{impersonation.PermissionUsersRead, impersonation.PermissionStart, impersonation.PermissionRead}

// standsIn reports whether a program may be given an actor's own JWT without a sign-in
// of theirs: beyond what support may do they hold nothing that it does not hold there.
func standsIn(program, actor storage.Standing) bool {
	more := func(held storage.List, organization string) bool {
		return slices.ContainsFunc(held, func(permission string) bool {
			return !slices.Contains(ofSupport, permission) && !program.May(permission, organization)
		})
	}
	for organization, held := range actor.Within {
		if more(held, organization) {
			return false
		}
	}
	return !more(actor.Everywhere, "")
}

// isRefusal reports whether an error is something that a client is told, and no failure.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status < http.StatusInternalServerError
}

// DescopeRefresh returns a session JWT for a refresh JWT of a client's, after the rules
// were asked again about the impersonation behind it.
func (p *Provider) DescopeRefresh(ctx context.Context, c *storage.Client, token string, info storage.Request, now time.Time) (string, error) {
	g, err := p.descopeGrant(ctx, c.ID, token, now)
	if err != nil {
		return "", err
	}
	s := newSession(&g.Grant)
	if s.ImpersonationID != "" {
		_, _, err := p.Impersonation.Recheck(ctx, s.ImpersonationID, c, info, now)
		if _, denied := impersonation.Denied(err); denied {
			return "", errDescopeEnded.because(err)
		}
		if err != nil {
			return "", err
		}
		err = p.store.Write(ctx, func(tx *storage.Tx) error {
			if err := tx.HoldGrant(ctx, s.GrantID, now); err != nil {
				return err
			}
			return recordIssued(ctx, tx, s, c.ID, "descope_refresh", info)
		})
		if errors.Is(err, storage.ErrSpent) { // stopped since the rules were asked
			return "", errDescopeEnded
		}
		if err != nil {
			return "", err
		}
	}
	expires := now.Add(p.config.AccessTokenLifetime)
	if expires.After(s.NotAfter) {
		expires = s.NotAfter
	}
	return p.signDescope(s, c, descopeSession, expires, now)
}

// DescopeGranted returns what a refresh JWT of a client's is of, and the name that the
// client has for its user: the JWT's sub.
func (p *Provider) DescopeGranted(ctx context.Context, c *storage.Client, token string, now time.Time) (g *storage.Granted, sub string, err error) {
	if g, err = p.descopeGrant(ctx, c.ID, token, now); err != nil {
		return nil, "", err
	}
	return g, newSession(&g.Grant).Sub, nil
}

// DescopeLogout ends what a refresh JWT of a client's is of: the impersonation, or the
// session that whoever acted has of their own.
func (p *Provider) DescopeLogout(ctx context.Context, c *storage.Client, token string, info storage.Request, now time.Time) error {
	g, err := p.descopeGrant(ctx, c.ID, token, now)
	if err != nil {
		return err
	}
	err = p.store.Write(ctx, func(tx *storage.Tx) error {
		if g.ImpersonationID != "" {
			return tx.StopImpersonation(ctx, g.ImpersonationID, storage.Cause{By: g.ActorID, Request: info}, now)
		}
		if err := tx.RevokeGrant(ctx, g.Grant.ID, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventGrantRevoked, ActorID: g.UserID, SubjectID: g.UserID, ClientID: c.ID, Data: storage.Data{"grant": g.Grant.ID, "why": "logout"},
		}, storage.Private{}, info, now)
	})
	if errors.Is(err, storage.ErrSpent) {
		return errDescopeEnded
	}
	return err
}

// descopeGrant returns the grant of a client's refresh JWT, which must stand.
func (p *Provider) descopeGrant(ctx context.Context, clientID, token string, now time.Time) (*storage.Granted, error) {
	payload, err := p.Keys.verify(token, typRefresh)
	if err != nil {
		return nil, errNoRefreshJWT.because(err)
	}
	var t descopeJWT
	if err := json.Unmarshal(payload, &t); err != nil || t.Issuer != p.descopeIssuer(clientID) {
		return nil, errNoRefreshJWT
	}
	g, err := p.store.GrantByToken(ctx, t.GrantID, t.ID)
	switch {
	case isNotFound(err), err == nil && (now.Unix() >= t.Expires || !g.Live(now) || g.ClientID != clientID):
		return nil, errDescopeEnded
	case err != nil:
		return nil, err
	}
	return g, nil
}

func (p *Provider) descopeIssuer(clientID string) string { return p.config.Issuer + "/" + clientID }

// signDescope makes a JWT of what a session says.
func (p *Provider) signDescope(s *Session, c *storage.Client, kind string, expires, now time.Time) (string, error) {
	t := descopeJWT{
		Issuer: p.descopeIssuer(c.ID), Subject: s.Sub, Audience: c.ID, Expires: expires.Unix(), IssuedAt: now.Unix(), ID: storage.NewID("dj"),
		Kind: kind, AMR: []string{}, Tenant: s.Organization, SID: s.SID, GrantID: s.GrantID, Act: s.Act,
	}
	if s.Organization != "" {
		t.Tenants = map[string]struct{}{s.Organization: {}}
	}
	return p.Keys.sign(algRS256, descopeTypes[kind], withCustom(s.Custom, t))
}

// bareGrant is the row of a grant that has no code and gives no scopes.
func bareGrant(s *Session, c *storage.Client, now time.Time) *storage.Grant {
	var kept url.Values
	if s.Sub != s.Subject {
		kept = url.Values{pairwiseSub: {s.Sub}}
	}
	return &storage.Grant{
		ID: s.GrantID, ClientID: c.ID, UserID: s.Subject, Request: kept.Encode(), ActorID: s.ActorID, ImpersonationID: s.ImpersonationID, OrganizationID: s.Organization,
		SID: s.SID, LoginSID: s.LoginSID, Act: string(s.Act), CustomClaims: string(s.Custom), ACR: s.ACR, AuthTime: storage.At(s.AuthTime), RequestedAt: storage.At(now),
		CreatedAt: storage.At(now), ExpiresAt: storage.At(s.NotAfter),
	}
}
