package handlers

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// interactionLifetime is how long a person may take to sign in and decide.
const interactionLifetime = 15 * time.Minute

// interaction is an authorization request with the person in front of it.
type interaction struct {
	id      string               // as in the URL; empty: not stored, there was no need yet
	row     *storage.Interaction // nil: not stored
	request *provider.AuthorizeRequest
	login   *storage.Login // nil: nobody is signed in
}

// authorize takes an authorization request by GET.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	return s.authorizeFor(w, r, r.Form)
}

// authorizeFor takes the authorization request that a form holds.
func (s *Server) authorizeFor(w http.ResponseWriter, r *http.Request, form url.Values) error {
	request, err := s.provider.NewAuthorizeRequest(r.Context(), form, time.Now())
	if err != nil {
		return err
	}
	asksForLanguages(r, request.Form)
	login, err := s.currentLogin(r)
	if err != nil {
		return err
	}
	return s.proceed(w, r, &interaction{request: request, login: login})
}

// authorizePost takes one by POST. A POST from another site carries no cookie of
// ours, so the request is kept and the browser comes back for it by GET.
func (s *Server) authorizePost(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	asksForLanguages(r, r.Form)
	request, err := s.provider.NewAuthorizeRequest(r.Context(), r.Form, time.Now())
	if err != nil {
		return err
	}
	i := &interaction{request: request}
	if err := s.keep(r, i, nil); err != nil {
		return err
	}
	redirect(w, "/oauth2/authorize/"+i.id)
	return nil
}

// resume goes on with a request that was kept.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	i, err := s.interaction(w, r, r.PathValue("interaction"))
	if err != nil {
		return err
	}
	return s.proceed(w, r, i)
}

// proceed does the next step of a request.
func (s *Server) proceed(w http.ResponseWriter, r *http.Request, i *interaction) error {
	handle := i.request.Form.Get("login_hint")
	if impersonation.IsHandle(handle) {
		if done, err := s.redeemInBrowser(w, r, i, handle); done || err != nil {
			return err
		}
	}
	situation, err := s.situation(r, i, impersonation.IsHandle(handle))
	if err != nil {
		return err
	}
	step, refusal := i.request.Next(situation)
	if (step == provider.Consent || step == provider.Proceed) && impersonation.IsHandle(handle) {
		return s.redeem(w, r, i, handle)
	}
	switch step {
	case provider.Refuse:
		return s.refuse(w, r, i, refusal)
	case provider.Proceed:
		return s.approve(w, r, i, provider.As{Login: i.login, Scope: i.request.GetRequestedScopes()}, nil)
	}
	if i.row == nil {
		if err := s.keep(r, i, s.browser(w, r)); err != nil {
			return err
		}
	}
	if step == provider.Consent {
		redirect(w, "/consent/"+i.id)
	} else {
		redirect(w, "/login?interaction="+url.QueryEscape(i.id))
	}
	return nil
}

// situation gathers what the next step depends on. With a ticket that is named, what
// the person may do at the client, and does there, decides nothing: the ticket does.
func (s *Server) situation(r *http.Request, i *interaction, named bool) (provider.Situation, error) {
	ctx, now := r.Context(), time.Now()
	situation := provider.Situation{Now: now, Login: i.login, AlwaysOffer: !s.config.OfferOnRequest, Member: true}
	if i.login == nil || named {
		return situation, nil
	}
	c := i.request.Client
	var err error
	if !c.FirstParty {
		if situation.Consented, err = s.store.ConsentedScope(ctx, i.login.User.ID, c.ID); err != nil {
			return situation, err
		}
	}
	if len(c.Organizations) > 0 {
		standing, err := s.store.Standing(ctx, i.login.User.ID)
		if err != nil {
			return situation, err
		}
		situation.Member = slices.ContainsFunc(c.Organizations, standing.MemberOf)
	}
	if browser := s.bearer(r); browser != nil { // also where somebody is signed in whom that does not concern
		if situation.Running, err = s.runs(ctx, storage.ImpersonationFilter{Browser: browser, Client: c.ID}, now); err != nil {
			return situation, err
		}
	}
	if !i.login.HasRole {
		return situation, nil // as nearly everybody
	}
	if situation.MayAct, err = s.provider.Impersonation.Offered(ctx, &i.login.User, c); err != nil {
		return situation, err
	}
	if situation.MayAct {
		over, err := s.runs(ctx, storage.ImpersonationFilter{LoginSID: i.login.SID, Client: c.ID}, now)
		if err != nil {
			return situation, err
		}
		situation.Running = situation.Running || over
		waiting, err := s.store.PendingTickets(ctx, i.login.SID, c.ID, now)
		if err != nil {
			return situation, err
		}
		situation.Waiting = len(waiting) > 0
	}
	return situation, nil
}

// runs reports whether any impersonation that the filter selects is under way.
func (s *Server) runs(ctx context.Context, f storage.ImpersonationFilter, now time.Time) (bool, error) {
	f.Running, f.Limit = true, 1
	running, err := s.store.Impersonations(ctx, f, now)
	return len(running) > 0, err
}

// keep stores a request until its person has signed in and decided. A nil browser
// leaves it to the first that comes for it.
func (s *Server) keep(r *http.Request, i *interaction, browser []byte) error {
	if browser == nil {
		browser = []byte{}
	}
	kept, err := i.request.Keep()
	if err != nil {
		return err
	}
	i.id = rand.Text()
	i.row = &storage.Interaction{
		IDHash: storage.Hash(i.id), BrowserHash: browser, ClientID: i.request.Client.ID, Request: kept,
		RequestedAt: storage.At(i.request.At), ExpiresAt: storage.At(i.request.At.Add(interactionLifetime)),
	}
	return s.store.Write(r.Context(), func(tx *storage.Tx) error { return tx.CreateInteraction(r.Context(), i.row) })
}

// interaction returns a request that was kept for this browser, with who sits in
// front of it. It is checked again as if it had just come.
func (s *Server) interaction(w http.ResponseWriter, r *http.Request, id string) (*interaction, error) {
	ctx, now := r.Context(), time.Now()
	browser := s.browser(w, r)
	row, err := s.store.Interaction(ctx, storage.Hash(id), browser, now)
	if errors.Is(err, storage.ErrNotFound) {
		row, err = s.claim(r, storage.Hash(id), browser, now)
	}
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(row.Request)
	if err != nil {
		return nil, err
	}
	asksForLanguages(r, form)
	request, err := s.provider.ResumeAuthorizeRequest(ctx, form, row.RequestedAt.Time())
	if err != nil {
		return nil, err
	}
	login, err := s.currentLogin(r)
	if err != nil {
		return nil, err
	}
	return &interaction{id: id, row: row, request: request, login: login}, nil
}

// claim binds a request that came by POST to the browser that comes for it.
func (s *Server) claim(r *http.Request, idHash, browser []byte, now time.Time) (*storage.Interaction, error) {
	err := s.store.Write(r.Context(), func(tx *storage.Tx) error {
		return tx.ClaimInteraction(r.Context(), idHash, browser)
	})
	if err != nil {
		return nil, err
	}
	return s.store.Interaction(r.Context(), idHash, browser, now)
}

// approve answers a request, and spends the interaction in the same
// Write; so does what before holds.
func (s *Server) approve(w http.ResponseWriter, r *http.Request, i *interaction, as provider.As, before func(*storage.Tx) error) error {
	ctx := provider.Begin(r.Context(), s.info(r))
	answer, err := s.provider.Approve(ctx, i.request, as, func(tx *storage.Tx) error {
		if i.row != nil {
			if err := tx.SpendInteraction(ctx, i.row.IDHash, time.Now()); err != nil {
				return err
			}
		}
		if before == nil {
			return nil
		}
		return before(tx)
	})
	if err != nil {
		return err
	}
	return s.send(w, r, answer)
}

// refuse tells the application what went wrong, and spends the interaction.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, i *interaction, why error) error {
	if i.row != nil {
		err := s.store.Write(r.Context(), func(tx *storage.Tx) error {
			return tx.SpendInteraction(r.Context(), i.row.IDHash, time.Now())
		})
		if err != nil {
			return err
		}
	}
	answer := s.provider.Refuse(i.request, why)
	s.logAnswer(r, http.StatusSeeOther, answer.Parameters.Get("error"), why)
	return s.send(w, r, answer)
}

// send takes an answer to the application, as a redirect or as a form that posts
// itself.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *provider.Answer) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if a.Mode != fosite.ResponseModeFormPost {
		redirect(w, a.URL())
		return nil
	}
	nonce := rand.Text()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-"+nonce+
		"'; form-action "+originOf(a.RedirectURI)+"; base-uri 'none'; frame-ancestors 'none'")
	p := templates.FormPostPage{Page: templates.Page{Lang: s.language(r)}, Action: a.RedirectURI, Nonce: nonce}
	for _, name := range slices.Sorted(maps.Keys(a.Parameters)) {
		p.Fields = append(p.Fields, templates.HiddenField{Name: name, Value: a.Parameters.Get(name)})
	}
	return s.pages.FormPost(w, http.StatusOK, p)
}

// redirect answers 303: a POST is never repeated at the next address (SECURITY C07).
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
