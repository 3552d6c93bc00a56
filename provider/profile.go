package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/understudy-id/understudy/storage"
)

// How long what is said about a user may be, in bytes.
const (
	maxEmail      = 254 // RFC 5321 section 4.5.3.1
	maxClaim      = 300
	maxClaimURI   = 2000
	maxAddress    = 2000
	maxClaimsFile = 64 << 10
)

// ApplyClaims sets what claims says about the user: a JSON object of the standard
// claims of OpenID Connect Core 5.1. Anything else in it is an error that names
// it: who somebody is and what they may do is nothing a list of claims decides
// (SECURITY D14). The user is unchanged when there is an error.
func ApplyClaims(u *storage.User, claims []byte) error {
	if len(claims) > maxClaimsFile {
		return fmt.Errorf("claims: longer than %d bytes", maxClaimsFile)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(claims, &given); err != nil {
		return fmt.Errorf("claims: want a JSON object: %w", err)
	}
	changed := *u
	fields := claimFields(&changed)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		err := errors.New("is none that can be set")
		if field, ok := fields[name]; ok {
			err = fill(field, given[name])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("claim %q: %w", name, err))
		}
	}
	if err := invalid(errs...); err != nil {
		return err
	}
	*u = changed
	return nil
}

// claimText is a claim that is text.
type claimText struct {
	name  string
	value *string
}

// claimTexts are the claims that are text, in the order of their names.
func claimTexts(u *storage.User) []claimText {
	return []claimText{
		{"birthdate", &u.Birthdate},
		{"email", &u.Email},
		{"family_name", &u.FamilyName},
		{"gender", &u.Gender},
		{"given_name", &u.GivenName},
		{"locale", &u.Locale},
		{"middle_name", &u.MiddleName},
		{"name", &u.Name},
		{"nickname", &u.Nickname},
		{"phone_number", &u.PhoneNumber},
		{"picture", &u.Picture},
		{"preferred_username", &u.PreferredUsername},
		{"profile", &u.Profile},
		{"website", &u.Website},
		{"zoneinfo", &u.Zoneinfo},
	}
}

// claimFields are all claims that can be set, by name, each as what fill takes.
func claimFields(u *storage.User) map[string]any {
	fields := map[string]any{
		"email_verified": &u.EmailVerified, "phone_number_verified": &u.PhoneNumberVerified, "address": (*addressText)(&u.Address),
	}
	for _, text := range claimTexts(u) {
		fields[text.name] = text.value
	}
	return fields
}

// addressText is an address in its one spelling, see compactAddress.
type addressText string

// fill sets a text, a flag, a list or an address to what a JSON value says.
func fill(field any, raw json.RawMessage) error {
	want := "text"
	switch field := field.(type) {
	case *addressText:
		compact, err := compactAddress(raw)
		*field = addressText(compact)
		return err
	case *bool:
		want = "true or false"
	case *[]string:
		want = "a list of texts"
	}
	if err := json.Unmarshal(raw, field); err != nil || bytes.Equal(raw, []byte("null")) {
		return errors.New("want " + want)
	}
	return nil
}

// address is the address claim (OpenID Connect Core 5.1.1).
type address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// compactAddress returns an address in one spelling; an empty one is empty.
func compactAddress(raw []byte) (string, error) {
	var a address
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil || !json.Valid(raw) || len(raw) > maxAddress || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return "", errors.New("want an object with texts formatted, street_address, locality, region, postal_code, country")
	}
	if a == (address{}) {
		return "", nil
	}
	for _, s := range []string{a.Formatted, a.StreetAddress, a.Locality, a.Region, a.PostalCode, a.Country} {
		if err := checkText(strings.NewReplacer("\r\n", " ", "\n", " ").Replace(s), maxAddress); err != nil {
			return "", err
		}
	}
	return string(asRaw(a)), nil
}

// FieldError says what is wrong with one thing that is said about a user.
type FieldError struct {
	Field string // empty: the whole of it
	Value string // empty where there is none, or none to show
	Wrong string
}

func (e FieldError) Error() string {
	switch {
	case e.Field == "":
		return e.Wrong
	case e.Value == "":
		return e.Field + ": " + e.Wrong
	}
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Wrong)
}

// ValidateUser returns everything that is wrong with what is said about a user, a
// FieldError each, or nil. It brings the address into its one spelling.
func ValidateUser(u *storage.User) error {
	var errs []error
	for _, e := range checkUser(u) {
		errs = append(errs, e)
	}
	return invalid(errs...)
}

func checkUser(u *storage.User) (wrong []FieldError) {
	say := func(name, value string, err error) {
		if err != nil {
			wrong = append(wrong, FieldError{name, value, err.Error()})
		}
	}
	say("id", u.ID, checkUserID(u.ID))
	say("email", u.Email, checkEmail(u.Email))
	for _, text := range claimTexts(u) {
		if text.name != "email" && *text.value != "" {
			say(text.name, *text.value, checkClaim(text.name, *text.value))
		}
	}
	if u.PhoneNumberVerified && u.PhoneNumber == "" {
		say("phone_number_verified", "", errors.New("there is no phone_number"))
	}
	if u.Address != "" {
		compact, err := compactAddress([]byte(u.Address))
		u.Address = compact
		say("address", "", err)
	}
	return wrong
}

// identifier is what ids of users and organizations are made of. There is no @
// in it, so that no id is ever taken for an e-mail address (SECURITY D13).
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~|:-]{0,254}$`)

// checkUserID accepts an empty id: one will be made.
func checkUserID(id string) error {
	if id != "" && !identifier.MatchString(id) {
		return errors.New("want up to 255 letters, digits and . _ ~ | : -, beginning with a letter or digit")
	}
	return notOfKey(id)
}

// notOfKey keeps the ids of API keys their own: the record names a user, a client or a
// key as who did something, by id alone, and rules ask by that id what they may do.
func notOfKey(id string) error {
	if strings.HasPrefix(id, prefixAPIKeyID+"_") {
		return errors.New("only API keys have ids like this")
	}
	return nil
}

// checkEmail wants an address as RFC 5322 section 3.4.1 has it, alone.
func checkEmail(email string) error {
	if email == "" {
		return errors.New("is missing")
	}
	if len(email) > maxEmail {
		return fmt.Errorf("longer than %d bytes", maxEmail)
	}
	if err := checkText(email, maxEmail); err != nil {
		return err
	}
	if strings.ContainsFunc(email, func(r rune) bool { return !unicode.IsPrint(r) }) { // it would look like somebody else's
		return errors.New("has characters that cannot be seen")
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Name != "" || a.Address != email || strings.ContainsAny(email, " ()<>[]") {
		return errors.New("want an address like ada@example.com, without a name")
	}
	return nil
}

var (
	birthdate   = regexp.MustCompile(`^([0-9]{4})(-[0-9]{2}-[0-9]{2})?$`)
	zoneinfo    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)
	phoneNumber = regexp.MustCompile(`^[+0-9(][0-9 ().-]{2,40}(;ext=[0-9]{1,10})?$`)
)

// checkClaim is plausibility, not truth.
func checkClaim(name, value string) error {
	switch name {
	case "profile", "picture", "website":
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(value) > maxClaimURI || !printable(value) {
			return errors.New("want an https or http URL")
		}
		return nil
	case "birthdate":
		return checkBirthdate(value)
	case "zoneinfo":
		if !zoneinfo.MatchString(value) || len(value) > maxClaim {
			return errors.New("want the name of a time zone like Europe/Paris")
		}
	case "locale":
		if _, err := language.Parse(value); err != nil {
			if _, unknown := errors.AsType[language.ValueError](err); !unknown { // well-formed will do
				return errors.New("want a language tag like en-US")
			}
		}
	case "phone_number":
		if !phoneNumber.MatchString(value) {
			return errors.New("want a number like +1 555 010 999")
		}
	}
	return checkText(value, maxClaim)
}

// checkBirthdate: YYYY-MM-DD, 0000-MM-DD where the year is not told, or YYYY.
func checkBirthdate(value string) error {
	parts := birthdate.FindStringSubmatch(value)
	if parts == nil {
		return errors.New("want YYYY-MM-DD, 0000-MM-DD or YYYY")
	}
	if parts[2] == "" {
		return nil
	}
	// The year 0 is a leap year: 29 February stands without one.
	if _, err := time.Parse(time.DateOnly, value); err != nil {
		return errors.New("there is no such day")
	}
	return nil
}

// checkText refuses what no name has and what would make a page or a record lie.
func checkText(s string, maxBytes int) error {
	switch {
	case len(s) > maxBytes:
		return fmt.Errorf("longer than %d bytes", maxBytes)
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("has white space around it")
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
	}):
		return errors.New("has control characters")
	}
	return nil
}
