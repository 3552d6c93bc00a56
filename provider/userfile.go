package provider

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/storage"
)

// How large a file of users may be.
const (
	maxUserFile = 64 << 20
	maxUserText = 64 << 10 // what it says about one
	maxUsers    = 200_000
	maxListed   = 100 // organizations of one, or roles
)

// UserFormat is how a file of users is written.
type UserFormat string

// The formats of a file of users.
const (
	UsersCSV  UserFormat = "csv"  // RFC 4180 with a header; commas, semicolons or tabs between cells
	UsersJSON UserFormat = "json" // an array of objects, or one object a line
)

// UserFile is a file of users that was read: those who can be imported as far as
// the file itself tells, and what is wrong with the others.
type UserFile struct {
	users    int
	rows     []*userRow
	problems []UserProblem
}

// UserProblem is one thing that is wrong with a user in a file. There may be several
// with one user.
type UserProblem struct {
	Line   int // on which the user begins, from 1
	Object int // which of an array of JSON it is, from 1; 0 in other files
	FieldError
}

func (p UserProblem) Error() string { return p.place().String() + ": " + p.FieldError.Error() }

func (p UserProblem) place() userPlace { return userPlace{p.Line, p.Object} }

func problemAt(at userPlace, e FieldError) UserProblem {
	e.Value = shorten(e.Value)
	return UserProblem{at.line, at.object, e}
}

// shorten keeps a message about what somebody wrote readable.
func shorten(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}

// userPlace is where a user is in a file.
type userPlace struct{ line, object int }

func (p userPlace) String() string {
	if p.object == 0 {
		return fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("line %d, object %d", p.line, p.object)
}

// ReadUsers reads a file of users; an empty format is recognized. The users that are
// wrong are named by the UserFile. An error says that the file as a whole cannot be
// read for sure, so that nothing of it should be imported.
func ReadUsers(from io.Reader, format UserFormat) (*UserFile, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxUserFile+1))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	begin := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(text) > maxUserFile:
		return nil, fmt.Errorf("larger than %d MiB: split it", maxUserFile>>20)
	case len(begin) == 0:
		return nil, errors.New("is empty")
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, errors.New("is UTF-16: save it as UTF-8")
	}
	if format == "" {
		format = UsersCSV
		if begin[0] == '[' || begin[0] == '{' {
			format = UsersJSON
		}
	}
	r := userReader{UserFile: &UserFile{}, seen: map[string]userPlace{}}
	r.fields = r.row.fields()
	switch {
	case format == UsersCSV:
		err = r.csv(text)
	case format != UsersJSON:
		err = fmt.Errorf("format %q: want %s or %s", format, UsersCSV, UsersJSON)
	case begin[0] == '[':
		err = r.array(text)
	default:
		err = r.lines(text)
	}
	if err != nil {
		return nil, err
	}
	return r.UserFile, nil
}

// userReader reads a file of users.
type userReader struct {
	*UserFile
	seen   map[string]userPlace // where an id or an e-mail key was first
	row    userRow              // the one that is read
	fields map[string]any       // of that row
}

// csv reads rows as RFC 4180 has them, line breaks within quotes included: nobody's
// display name may begin a row of its own.
func (r *userReader) csv(text []byte) error {
	c := csv.NewReader(bytes.NewReader(text))
	c.Comma, c.FieldsPerRecord = separator(text), -1
	header, err := c.Read()
	if err != nil {
		return unreadable(err)
	}
	if err := checkHeader(header, text[:c.InputOffset()], r.fields); err != nil {
		return err
	}
	for {
		start := c.InputOffset()
		cells, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		line, _ := c.FieldPos(0)
		err = r.add(userPlace{line: line}, text[start:c.InputOffset()], func() (map[string]json.RawMessage, error) {
			if len(cells) != len(header) {
				return nil, fmt.Errorf("has %d cells, but the header has %d", len(cells), len(header))
			}
			given := map[string]json.RawMessage{}
			for i, name := range header {
				if cells[i] != "" {
					given[name] = cellValue(r.fields[name], cells[i])
				}
			}
			return given, nil
		})
		if err != nil {
			return err
		}
	}
}

// separator is the first of those there are in the header: no column has one in its name.
func separator(text []byte) rune {
	header, _, _ := bytes.Cut(text, []byte("\n"))
	if i := bytes.IndexAny(header, ",;\t"); i >= 0 {
		return rune(header[i])
	}
	return ','
}

// unreadable says why a CSV file is one no longer. What follows could be taken for
// users whom nobody meant, so that it is not looked at.
func unreadable(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: it cannot be told where the row ends: %w", e.StartLine, e.Err)
	}
	return err
}

// checkHeader returns everything that is wrong with the names of the columns.
func checkHeader(header []string, raw []byte, fields map[string]any) error {
	if err := checkRaw(raw); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	var errs []error
	seen := map[string]bool{}
	for _, name := range header {
		if _, known := fields[name]; !known {
			errs = append(errs, fmt.Errorf("line 1: column %q: %s", shorten(name), unknownField(name, fields)))
		} else if seen[name] {
			errs = append(errs, fmt.Errorf("line 1: column %q: is there twice", name))
		}
		seen[name] = true
	}
	if !seen["email"] {
		errs = append(errs, errors.New(`line 1: there is no column "email"`))
	}
	return errors.Join(errs...)
}

// array reads an array of objects.
func (r *userReader) array(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	at, counted := userPlace{line: 1}, 0
	next := func() {
		begin := len(text) - len(bytes.TrimLeft(text[d.InputOffset():], ", \t\r\n"))
		at.line += bytes.Count(text[counted:begin], []byte("\n"))
		counted = begin
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	for d.More() {
		next()
		at.object++
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("%s: is not JSON: %w", at, err)
		}
		if err := r.add(at, raw, func() (map[string]json.RawMessage, error) { return objectMembers(raw) }); err != nil {
			return err
		}
	}
	next()
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("line %d: the array does not end: %w", at.line, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the array", at.line)
	}
	return nil
}

// lines reads one object a line; empty lines are nothing.
func (r *userReader) lines(text []byte) error {
	at := userPlace{}
	for line := range bytes.Lines(text) {
		at.line++
		raw := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		if err := r.add(at, raw, func() (map[string]json.RawMessage, error) { return objectMembers(raw) }); err != nil {
			return err
		}
	}
	return nil
}

// objectMembers returns the members of an object. A name that is there twice would
// be read one way here and another way elsewhere.
func objectMembers(raw []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(raw) || bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return nil, errors.New("want one JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	given := map[string]json.RawMessage{}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		if _, twice := given[name]; twice {
			return nil, fmt.Errorf("%q is there twice", shorten(name))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		given[name] = value
	}
	return given, nil
}

// add reads one user, of whom raw is all that the file says and read returns the
// values by their names.
func (r *userReader) add(at userPlace, raw []byte, read func() (map[string]json.RawMessage, error)) error {
	if r.users++; r.users > maxUsers {
		return fmt.Errorf("%s: there are more than %d users: split the file", at, maxUsers)
	}
	r.row = userRow{userPlace: at}
	wrong := r.fill(raw, read)
	for _, e := range wrong {
		r.problems = append(r.problems, problemAt(at, e))
	}
	if len(wrong) == 0 {
		row := r.row
		r.rows = append(r.rows, &row)
	}
	return nil
}

// checkRaw refuses text in which another program might see other lines or letters.
func checkRaw(raw []byte) error {
	switch {
	case bytes.Count(raw, []byte("\r")) != bytes.Count(raw, []byte("\r\n")):
		return errors.New("has a carriage return within a line; lines end with LF or CRLF")
	case bytes.IndexByte(raw, 0) >= 0:
		return errors.New("has a NUL")
	case !utf8.Valid(raw):
		return errors.New("is not UTF-8")
	case len(raw) > maxUserText:
		return fmt.Errorf("longer than %d bytes", maxUserText)
	}
	return nil
}

// fill gives the row its values, of which null says nothing, and returns all that is
// wrong with it.
func (r *userReader) fill(raw []byte, read func() (map[string]json.RawMessage, error)) (wrong []FieldError) {
	if err := checkRaw(raw); err != nil {
		return []FieldError{{Wrong: err.Error()}}
	}
	given, err := read()
	if err != nil {
		return []FieldError{{Wrong: err.Error()}}
	}
	said := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		field, known := r.fields[name]
		switch {
		case !known:
			wrong = append(wrong, FieldError{"field", name, unknownField(name, r.fields)})
		case string(given[name]) == "null":
		default:
			if err := fill(field, given[name]); err != nil {
				wrong = append(wrong, FieldError{name, shown(name, given[name]), err.Error()})
				said[name] = true
			}
		}
	}
	for _, e := range r.row.check() {
		if !said[e.Field] {
			wrong = append(wrong, e)
		}
	}
	return append(wrong, r.repeated()...)
}

// repeated says what, of which each user has their own, is somebody's before.
func (r *userReader) repeated() (wrong []FieldError) {
	u := &r.row.user
	for _, own := range []struct{ field, value, key string }{{"id", u.ID, u.ID}, {"email", u.Email, storage.EmailKey(u.Email)}} {
		if own.key == "" {
			continue
		}
		key := own.field + " " + own.key
		if before, seen := r.seen[key]; seen {
			wrong = append(wrong, FieldError{own.field, own.value, "is on " + before.String() + " too"})
			continue
		}
		r.seen[key] = r.row.userPlace
	}
	return wrong
}

// userRow is a user as a file has them.
type userRow struct {
	userPlace
	user          storage.User
	roles         []string // held everywhere
	organizations []string // ORGANIZATION or ORGANIZATION:ROLE
}

// fields are what a file can say of a user, by name, each as what fill takes.
// Nothing else can be set: not the times, not the key of the address (SECURITY D14).
func (r *userRow) fields() map[string]any {
	fields := claimFields(&r.user)
	maps.Copy(fields, map[string]any{
		"id": &r.user.ID, "password_hash": &r.user.PasswordHash, "status": &r.user.Status, "never_impersonate": &r.user.NeverImpersonate,
		"roles": &r.roles, "organizations": &r.organizations,
	})
	return fields
}

// shown is a value as people know it; a hash is never shown (SECURITY G04).
func shown(name string, raw json.RawMessage) string {
	var text string
	switch err := json.Unmarshal(raw, &text); {
	case name == "password_hash":
		return ""
	case err != nil:
		return string(raw)
	}
	return text
}

// check returns what is wrong with a row, as far as the row itself tells.
func (r *userRow) check() []FieldError {
	wrong := checkUser(&r.user)
	say := func(name, value string, err error) {
		if err != nil {
			wrong = append(wrong, FieldError{name, value, err.Error()})
		}
	}
	if s := r.user.Status; s != "" && s != storage.UserActive && s != storage.UserDisabled {
		say("status", string(s), errors.New("want active or disabled"))
	}
	if r.user.PasswordHash != "" {
		say("password_hash", "", checkHash(r.user.PasswordHash))
	}
	wrong = append(wrong, checkList("organizations", r.organizations)...)
	return append(wrong, checkList("roles", r.roles)...)
}

func checkList(field string, names []string) (wrong []FieldError) {
	if len(names) > maxListed {
		return []FieldError{{Field: field, Wrong: fmt.Sprintf("has more than %d names in it", maxListed)}}
	}
	for i, name := range names {
		err := checkText(name, 2*maxClaim)
		switch {
		case name == "":
			err = errors.New("has an empty name in it")
		case slices.Contains(names[:i], name):
			err = errors.New("is there twice")
		}
		if err != nil {
			wrong = append(wrong, FieldError{field, name, err.Error()})
		}
	}
	return wrong
}

// cellValue is what a cell would be in a file of JSON, for what it fills.
func cellValue(field any, cell string) json.RawMessage {
	switch field.(type) {
	case *bool:
		if flag := strings.ToLower(cell); flag == "true" || flag == "false" {
			return json.RawMessage(flag)
		}
	case *[]string:
		list := strings.Split(cell, ";")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return asRaw(list)
	case *addressText:
		return json.RawMessage(cell)
	}
	return asRaw(cell)
}

// unknownField says of a name that is none of the fields what was probably meant.
func unknownField(name string, fields map[string]any) string {
	if name == "password" {
		return "only hashes are imported, as password_hash; nobody should have passwords in a file"
	}
	meant, names := letters(shorten(name)), slices.Sorted(maps.Keys(fields))
	best, least := "", min(3, len(meant))
	for _, candidate := range names {
		d := distance(meant, letters(candidate))
		if len(meant) > 2 && strings.HasPrefix(candidate, meant) { // cut short
			d = min(d, 1)
		}
		if d < least {
			best, least = candidate, d
		}
	}
	if best == "" {
		return "there is no such field; there are " + strings.Join(names, ", ")
	}
	return "there is no such field; did you mean " + best + "?"
}

// letters is what is left of a name where neither case nor punctuation counts.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// distance counts the letters to insert, remove or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
