package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// dialect is what another vendor's SDK asks of its vendor where somebody acts as
// somebody, in that vendor's words. What is asked is asked of the core, by its rules:
// a file dialect_VENDOR.go only translates.
type dialect struct {
	name string // in the configuration
	// refuse is the body of an answer that says no, as the SDK reads it.
	refuse func(refusal) any
	// key returns the API key that a request presents. Nil: it is a Bearer token.
	key  func(*http.Request) (string, error)
	rows []dialectRoute
	// besides is below what else the vendor has its calls. They are not here, which the
	// SDK can tell only where it is said in its own words.
	besides []string
	// pages are for people.
	pages []route
}

// dialectRoute is a row of a dialect's table.
type dialectRoute struct {
	pattern    string
	permission string // that the caller's key needs; open: there is no key, or serve looks for it
	serve      func(*Server, http.ResponseWriter, *http.Request, *dialectCall) error
}

// open marks rows that answer also who has no key.
const open = ""

// dialectCall is what a row knows of its request.
type dialectCall struct {
	call    // Caller is nil while nobody knows who calls
	now     time.Time
	dialect string
	as      string // what the vendor calls this, for the record
}

// operation is a context in which operations of the management API answer the call.
func (c *dialectCall) operation(r *http.Request) context.Context {
	return context.WithValue(r.Context(), callKey{}, &c.call)
}

// refusal is what a caller is told: why, in words that the SDK throws.
type refusal struct {
	Status        int
	Code, Message string
	RequestID     string
	RetryAfter    time.Duration // zero: nobody knows
}

// dialects are all that there are.
func dialects() []dialect { return []dialect{clerk(), workos(), descope(), auth0()} }

// dialectRoutes are the rows of the dialects that the configuration lists. The others
// are not there, like any address that is not.
func (s *Server) dialectRoutes() []route {
	var rows []route
	for _, d := range dialects() {
		if !slices.Contains(s.config.Dialects, d.name) {
			continue
		}
		for _, row := range d.rows {
			rows = append(rows, route{row.pattern, internal, d.serve(row)})
		}
		for _, prefix := range d.besides {
			rows = append(rows, route{prefix, internal, d.serve(dialectRoute{prefix, open, notHere})})
		}
		rows = append(rows, d.pages...)
	}
	return rows
}

// serve adapts a row: the caller must be known, and hold the permission. An error is
// told as the vendor would.
func (d dialect) serve(row dialectRoute) func(*Server, http.ResponseWriter, *http.Request) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request) error {
		call := &dialectCall{call: call{request: s.info(r)}, now: time.Now(), dialect: d.name}
		err := func() error {
			if row.permission == open {
				return nil
			}
			present := d.key
			if present == nil {
				present = bearerKey
			}
			key, err := present(r)
			if err != nil {
				return err
			}
			return s.callsWith(w, r, call, key, row.permission)
		}()
		if err == nil {
			err = row.serve(s, w, r, call)
		}
		if err != nil {
			s.refuseAs(w, r, d, err)
		}
		return nil
	}
}

// notHere answers the vendor's calls that have no row.
func notHere(_ *Server, _ http.ResponseWriter, _ *http.Request, call *dialectCall) error {
	return &problemErr{Code: "not_found", Detail: fmt.Sprintf("This call of the vendor's is not here. docs/moving-from-%s.md says which are, and what takes the place of others.", call.dialect)}
}

// callsWith finds out who calls with a key, and whether it may.
func (s *Server) callsWith(w http.ResponseWriter, r *http.Request, call *dialectCall, key, permission string) error {
	caller, err := s.provider.CallerWith(r.Context(), key, call.now)
	if err != nil {
		return err
	}
	call.Caller = caller
	if err := s.callers.take(w.Header(), caller.ID, call.now); err != nil {
		return err
	}
	if permission != open && !caller.Standing.MayAnywhere(permission) {
		return &problemErr{Code: "insufficient_permission", Detail: "The key needs the permission " + permission + "."}
	}
	return nil
}

// bearerKey returns the Bearer token of a request.
func bearerKey(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", errNoKey
	}
	scheme, key, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errNoKey
	}
	return key, nil
}

var errNoKey = &problemErr{Code: "invalid_token", Detail: "Present an API key."}

// errNoClient is the answer to a key without an application where there has to be one.
var errNoClient = &problemErr{Code: "not_permitted", Detail: "This key speaks for no application. Make one with understudy apikey create --client."}

func errOtherClient(named string) error {
	return &problemErr{Code: "not_permitted", Detail: fmt.Sprintf("This key speaks for another application than %q.", named)}
}

// refuseAs answers an error in the words of a dialect.
func (s *Server) refuseAs(w http.ResponseWriter, r *http.Request, d dialect, err error) {
	said := refusalOf(err)
	if e, ok := errors.AsType[*provider.Error](err); ok {
		oauthHeaders(w.Header(), e, err)
	}
	said.RequestID = requestID(r.Context())
	if said.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((said.RetryAfter+time.Second-1)/time.Second)))
	}
	s.logAnswer(r, said.Status, said.Code, err)
	writeJSON(w, said.Status, d.refuse(said))
}

// refusalOf says what a caller is told of an error: what the standard's endpoints would
// of theirs, and what the management API would of any other.
func refusalOf(err error) refusal {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return refusal{Status: e.Status, Code: e.Code, Message: e.Description}
	}
	p := asProblem(err)
	kind := api.Load().Problems[p.Code]
	said := refusal{Status: kind.Status, Code: p.Code, Message: p.Detail, RetryAfter: p.RetryAfter}
	if said.Message == "" {
		said.Message = kind.Title + "."
	}
	for _, wrong := range p.Errors {
		said.Message += " " + wrong.Field + ": " + strings.TrimSuffix(wrong.Message, ".") + "."
	}
	return said
}

// readWords reads the JSON object of a request. Members that the vendor knows and we do
// not are left alone.
func readWords(r *http.Request, into any) error {
	body, err := bodyOf(r)
	if err != nil {
		return err
	}
	return understand(body, into)
}

// bodyOf returns the body of a request, which is JSON.
func bodyOf(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyRefused(err)
	}
	if err := provider.CheckJSON(body); err != nil {
		return nil, &problemErr{Code: "invalid_request", Detail: "The body " + err.Error() + "."}
	}
	return body, nil
}

// understand reads JSON as far as it is known.
func understand(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // a claim is said again as it was said to us
	if err := decoder.Decode(into); err != nil {
		detail := "The body is not what this takes."
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			detail = fmt.Sprintf("%s cannot be a %s.", wrong.Field, wrong.Value)
		}
		return (&problemErr{Code: "invalid_request", Detail: detail}).because(err)
	}
	return nil
}

// bodyRefused is the answer to a body that could not be read.
func bodyRefused(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &problemErr{Code: "body_too_large", Detail: "A body may have 65536 bytes."}
	}
	return (&problemErr{Code: "invalid_request", Detail: "The body cannot be read."}).because(err)
}

// vouches is the caller as the rules ask about it.
func (c *dialectCall) vouches() impersonation.Caller {
	return impersonation.Caller{ID: c.ID, Standing: c.Standing}
}

// reason is why somebody acts: what the call says or, where it says nothing and may,
// that it said nothing. Its words are for the record.
func (s *Server) reason(call *dialectCall, given string) (string, impersonation.Words) {
	words := impersonation.Words{Dialect: call.dialect}
	if strings.TrimSpace(given) == "" && !s.config.DialectReasonRequired {
		words.ReasonMade = true
		return madeReason(call), words
	}
	return given, words
}

// bearerTicket makes a ticket for whoever opens its link first: that is what a token or
// a link of these vendors is. They are asked for full access, as there is no other.
func (s *Server) bearerTicket(r *http.Request, call *dialectCall, q provider.TicketRequest) (*storage.Ticket, string, error) {
	q.Access, q.Binding, q.ExpiresIn = impersonation.Full, storage.BindingBearer, min(q.ExpiresIn, impersonation.TicketLifetime)
	q.Reason, q.Words = s.reason(call, q.Reason)
	for _, id := range []*string{&q.ActorID, &q.SubjectID} {
		if !acceptableID(*id) {
			*id = ""
		}
	}
	return s.provider.CreateTicket(r.Context(), call.vouches(), q, call.request, call.now)
}

// ticketURL is where a ticket's token is used.
func (s *Server) ticketURL(token string) string { return s.provider.Issuer() + "/impersonate/" + token }

// madeReason is what the record says where a vendor's call has no reason: what is true.
func madeReason(call *dialectCall) string {
	name := []rune(call.Name)
	if len(name) > 100 {
		name = append(name[:99], '…')
	}
	return fmt.Sprintf("%s, called by %q without a reason", call.as, string(name))
}

// clientFor returns the client that a call is about: the one that its key speaks for,
// which is the one that it names where it names one. A client that calls for itself
// may name another: what it may do there is what its permissions say.
func (s *Server) clientFor(r *http.Request, call *dialectCall, named string) (*storage.Client, error) {
	id, bound := call.ClientID, call.ClientID != "" && call.ClientID != call.ID
	switch {
	case id == "" && named == "":
		return nil, errNoClient
	case bound && named != "" && named != id:
		return nil, errOtherClient(named)
	case named != "":
		id = named
	}
	if !acceptableID(id) {
		return nil, &problemErr{Code: "not_found", Detail: "There is no such application."}
	}
	c, err := s.store.Client(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (c.Status != storage.ClientActive || !call.Knows(c)) {
		return nil, (&problemErr{Code: "not_found", Detail: fmt.Sprintf("There is no application %q.", id)}).because(err)
	}
	return c, err
}

// acceptableID reports whether a text can be an id or an e-mail address that somebody
// has: others are not looked for.
func acceptableID(id string) bool { return id != "" && len(id) <= 320 && !strings.ContainsRune(id, 0) }

// notText reports whether a value of a query is none that anybody's row could have.
func notText(value string) bool { return strings.ContainsRune(value, 0) || !utf8.ValidString(value) }

// dialectKeys is the JSON Web Key Set, whatever a vendor calls it: it is one for all clients.
func (s *Server) dialectKeys(w http.ResponseWriter, r *http.Request, _ *dialectCall) error {
	return s.keySetAs(w, r, "application/json") // some of the SDKs take nothing else for JSON
}

// firstAndLast are the names of a user in words that have no whole one. Who has nothing
// else goes by it as the first: two that are missing are shown as nobody.
func firstAndLast(u *storage.User) (first, last *string) {
	if u.GivenName == "" && u.FamilyName == "" {
		return unlessEmpty(u.Name), nil
	}
	return unlessEmpty(u.GivenName), unlessEmpty(u.FamilyName)
}

// milliseconds is a time as JavaScript counts it, nil for none.
func milliseconds(t storage.Time) *int64 {
	if !t.Set() {
		return nil
	}
	ms := t.Time().UnixMilli()
	return &ms
}

// numberIn reads a number of a query, otherwise where there is none.
func numberIn(q url.Values, name string, least, most, otherwise int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalidField(name, "is not a number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n, nil
}
