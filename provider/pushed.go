package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// prefixRequestURI begins the request_uri of a pushed request (RFC 9126 section 2.2).
const prefixRequestURI = "urn:ietf:params:oauth:request_uri:"

// pushedLifetime is how long a pushed request waits for its browser (SECURITY C09).
const pushedLifetime = time.Minute

// Pushed is the answer to a pushed authorization request.
type Pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int    `json:"expires_in"` // seconds
}

// Push takes an authorization request from its client itself (RFC 9126). It is
// checked as it would be at the authorization endpoint, and kept without the
// client's credentials (fosite #3).
func (p *Provider) Push(r *http.Request) (*Pushed, error) {
	form, err := directForm(r)
	if err != nil {
		return nil, err
	}
	ctx, now := r.Context(), time.Now()
	c, err := p.client(ctx, r, form) // refuses a client_id that is not its own (fosite #2)
	if err != nil {
		return nil, err
	}
	if form.Has("request_uri") {
		return nil, errInvalidRequest.with("A pushed request cannot refer to another.")
	}
	asked := url.Values{"client_id": {c.ID}}
	for name, values := range form {
		switch name {
		case "client_id", "client_secret", "client_assertion", "client_assertion_type":
		default:
			asked[name] = values
		}
	}
	resolved, refusal, err := p.resolveObject(ctx, c, asked)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	a, err := p.authorizeRequest(ctx, c, resolved, now, nil)
	if err != nil {
		return nil, err
	}
	if a.Err != nil {
		return nil, a.Err
	}
	kept, err := a.Keep()
	if err != nil {
		return nil, err
	}
	id := NewSecret("upr_")
	err = p.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreatePushedRequest(ctx, &storage.PushedRequest{
			IDHash: storage.Hash(id), ClientID: c.ID, Request: kept, ExpiresAt: storage.At(now.Add(pushedLifetime)),
		})
	})
	if err != nil {
		return nil, err
	}
	return &Pushed{RequestURI: prefixRequestURI + id, ExpiresIn: int(pushedLifetime / time.Second)}, nil
}

// takePushed returns the parameters of a request that the client pushed, which can
// be had once. Nothing that came beside its name counts (fosite #4), and another
// client cannot spend it (fosite #5).
func (p *Provider) takePushed(ctx context.Context, c *storage.Client, uri string) (url.Values, error) {
	idHash := storage.Hash(strings.TrimPrefix(uri, prefixRequestURI))
	var request string
	err := p.store.Write(ctx, func(tx *storage.Tx) (err error) {
		request, err = tx.SpendPushedRequest(ctx, idHash, c.ID, time.Now())
		return err
	})
	if errors.Is(err, storage.ErrSpent) {
		return nil, errInvalidRequestURI.with("The pushed request is unknown, was used already or has expired.")
	}
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(request)
}
