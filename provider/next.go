package provider

import (
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Step is what has to happen next to an authorization request.
type Step int

// The steps, in the order in which a person meets them.
const (
	SignIn  Step = iota // nobody is signed in
	Again               // they have to show again who they are
	Consent             // they have to decide on the consent page
	Proceed             // answer with what is asked for
	Refuse              // answer with the error
)

// Situation is what the next step depends on, beside the request itself.
type Situation struct {
	Now         time.Time
	Login       *storage.Login // nil: nobody is signed in
	Consented   string         // space-separated: what they allowed this client before
	MayAct      bool           // they may sign in as others at this client
	AlwaysOffer bool           // and are asked each time; otherwise only on request
	Running     bool           // they, or whoever had this browser, are acting as somebody at this client
	Member      bool           // they belong to an organization that the client is for
	Waiting     bool           // a ticket of theirs waits for this client in this browser
}

// ErrNotMember says that the application is not for the person. They may still
// act as somebody whom it is for.
var ErrNotMember error = errAccessDenied.with("The user may not use this application.")

// Next says what has to happen next, and for Refuse why. It is the whole policy of
// the authorization endpoint.
func (a *AuthorizeRequest) Next(s Situation) (Step, error) {
	none := slices.Contains(a.Prompt, "none")
	switch {
	case a.Err != nil && (s.Login != nil || none):
		return Refuse, a.Err
	case s.Login == nil && none:
		return Refuse, errLoginRequired
	case s.Login == nil:
		return SignIn, nil
	case a.mustSignInAgain(s) && none:
		return Refuse, errLoginRequired
	case a.mustSignInAgain(s):
		return Again, nil
	case !a.HintFits(s.Login) && (none || a.Hint != nil && a.Hint.Acting || !s.Login.AuthTime.Time().Before(a.At)):
		return Refuse, errLoginRequired // nobody, or not even now, the person that is meant
	case !a.HintFits(s.Login):
		return Again, nil
	case !s.Member && (none || !s.MayAct):
		return Refuse, ErrNotMember
	case (s.Running || s.Waiting) && none:
		// The application holds tokens of somebody else, or is about to: it must not
		// become the actor behind their back (SECURITY A18, T33).
		return Refuse, errLoginRequired
	case a.needsConsent(s) && none:
		return Refuse, errConsentRequired
	case !none && (a.needsConsent(s) || a.offersOthers(s)):
		return Consent, nil
	}
	return Proceed, nil
}

// mustSignInAgain reports whether the last sign-in is too old for the request
// (OpenID Connect Core 3.1.2.1: prompt=login, max_age).
func (a *AuthorizeRequest) mustSignInAgain(s Situation) bool {
	signedIn := s.Login.AuthTime.Time()
	if slices.Contains(a.Prompt, "login") && signedIn.Before(a.At) {
		return true
	}
	return a.HasAge && signedIn.Before(a.At) && s.Now.Sub(signedIn) > a.MaxAge
}

// HintFits reports whether the person who is signed in is the one that the request
// means, by its hint or by the sub that it asks for (OpenID Connect Core 5.5.1). A
// hint from an impersonation fits nobody (SECURITY T34).
func (a *AuthorizeRequest) HintFits(l *storage.Login) bool {
	sub := subjectWith(a.salt, a.Client, l.User.ID)
	if !a.Claims.means(sub) {
		return false
	}
	return a.Hint == nil || !a.Hint.Acting && a.Hint.Subject == sub
}

// Asks returns the scopes that the request asks for, and those that stand for the
// claims that it asks for by name: what a person has to allow.
func (a *AuthorizeRequest) Asks() []string {
	asks := slices.Clone(a.GetRequestedScopes())
	for _, scope := range a.Claims.scopes() {
		if !slices.Contains(asks, scope) {
			asks = append(asks, scope)
		}
	}
	return asks
}

// NeedsConsent reports whether the person has to allow something: the client is
// somebody else's and asks for more than they allowed it, or asks for the page.
func (a *AuthorizeRequest) NeedsConsent(consented string) bool {
	if slices.Contains(a.Prompt, "consent") {
		return true
	}
	if a.Client.FirstParty {
		return false
	}
	allowed := strings.Fields(consented)
	return slices.ContainsFunc(a.Asks(), func(scope string) bool { return !slices.Contains(allowed, scope) })
}

func (a *AuthorizeRequest) needsConsent(s Situation) bool {
	return a.NeedsConsent(s.Consented)
}

// offersOthers reports whether the page is shown because the person may choose as
// whom to go on.
func (a *AuthorizeRequest) offersOthers(s Situation) bool {
	asked := slices.Contains(a.Prompt, "select_account") || a.Form.Get("impersonate") == "1"
	if s.Waiting {
		return true // they meant to go on as somebody, and the application lost as whom
	}
	if !s.MayAct {
		return slices.Contains(a.Prompt, "select_account")
	}
	return asked || s.Running || !s.Member || s.AlwaysOffer && !s.Login.ContinueAsMe[a.Client.ID].Time().After(s.Now)
}
