package provider

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/storage"
)

const (
	goodBcrypt = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	goodArgon  = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
)

// sample is a user in a file: of each field what a cell of CSV says, and the same as JSON.
type sample map[string][2]string

// everything is a user of whom a file says all it can.
func everything() sample {
	s := sample{
		"email_verified": {"TRUE", "true"}, "phone_number_verified": {"true", "true"}, "never_impersonate": {"true", "true"},
		"address":       {`{ "country": "UK" }`, `{ "country": "UK" }`},
		"organizations": {"org_globex; Globex:support", `["org_globex", "Globex:support"]`},
		"roles":         {"auditor;app-admin", `["auditor", "app-admin"]`},
	}
	for name, text := range map[string]string{
		"id": "legacy|7", "email": "Ada@globex.test", "name": "Lovelace, Ada", "given_name": "Ada", "family_name": "Lovelace",
		"middle_name": "King", "nickname": `the "Countess"`, "preferred_username": "ada", "profile": "https://a.test/",
		"picture": "https://a.test/p.png", "website": "https://a.test/w", "gender": "female", "birthdate": "1815-12-10",
		"zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+44 20 7946 0958", "password_hash": goodBcrypt, "status": "disabled",
	} {
		s[name] = text2(text)
	}
	return s
}

func text2(s string) [2]string { return [2]string{s, string(asRaw(s))} }

// nth is a user who can be imported.
func nth(n int) sample {
	return sample{"id": text2(fmt.Sprint("usr_", n)), "email": text2(fmt.Sprintf("user%d@globex.test", n))}
}

// csvOf writes a file with the columns that one of the users has.
func csvOf(comma rune, users ...sample) string {
	columns := map[string]bool{}
	for _, u := range users {
		for name := range u {
			columns[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(columns))
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma = comma
	w.Write(names)
	for _, u := range users {
		var cells []string
		for _, name := range names {
			cells = append(cells, u[name][0])
		}
		w.Write(cells)
	}
	w.Flush()
	return b.String()
}

// jsonOf writes an object for each user, with a text between members.
func jsonOf(between string, users ...sample) []string {
	var objects []string
	for _, u := range users {
		var members []string
		for _, name := range slices.Sorted(maps.Keys(u)) {
			members = append(members, fmt.Sprintf("%q: %s", name, u[name][1]))
		}
		objects = append(objects, "{"+strings.Join(members, ","+between)+"}")
	}
	return objects
}

// One user, in the ways in which a file can be written.
func TestReadUsers(t *testing.T) {
	t.Parallel()
	all := &userRow{user: storage.User{
		ID: "legacy|7", Email: "Ada@globex.test", EmailVerified: true, Name: "Lovelace, Ada", GivenName: "Ada", FamilyName: "Lovelace",
		MiddleName: "King", Nickname: `the "Countess"`, PreferredUsername: "ada", Profile: "https://a.test/", Picture: "https://a.test/p.png",
		Website: "https://a.test/w", Gender: "female", Birthdate: "1815-12-10", Zoneinfo: "Europe/London", Locale: "en-GB",
		PhoneNumber: "+44 20 7946 0958", PhoneNumberVerified: true, Address: `{"country":"UK"}`, PasswordHash: goodBcrypt,
		Status: storage.UserDisabled, NeverImpersonate: true,
	}, roles: []string{"auditor", "app-admin"}, organizations: []string{"org_globex", "Globex:support"}}
	little := &userRow{user: storage.User{Email: "ada@globex.test"}}
	if n := len(new(userRow).fields()); n != len(everything()) {
		t.Errorf("the test knows %d fields of %d", len(everything()), n)
	}
	comma, object := csvOf(',', everything()), jsonOf(" ", everything())[0]
	crlf := strings.ReplaceAll(comma, "\n", "\r\n")
	for name, c := range map[string]struct {
		text   string
		format UserFormat
		at     userPlace
		want   *userRow
	}{
		"csv":                          {comma, "", userPlace{2, 0}, all},
		"csv, named":                   {comma, UsersCSV, userPlace{2, 0}, all},
		"csv, CRLF":                    {crlf, "", userPlace{2, 0}, all},
		"csv, no end of the line":      {strings.TrimSuffix(comma, "\n"), "", userPlace{2, 0}, all},
		"csv, byte order mark":         {"\ufeff" + crlf, UsersCSV, userPlace{2, 0}, all},
		"csv, empty lines":             {strings.ReplaceAll(crlf, "\r\n", "\r\n\r\n\r\n"), "", userPlace{4, 0}, all},
		"csv, semicolons":              {csvOf(';', everything()), "", userPlace{2, 0}, all},
		"csv, tabs":                    {csvOf('\t', everything()), "", userPlace{2, 0}, all},
		"csv, another order":           {"gender,roles,email\n,,ada@globex.test", "", userPlace{2, 0}, little},
		"csv, one column":              {"email\n\"ada@globex.test\"\n", "", userPlace{2, 0}, little},
		"csv, quotes over lines":       {"email,address\nada@globex.test,\"{\n\n}\"\n", "", userPlace{2, 0}, little},
		"array":                        {"[" + object + "]", "", userPlace{1, 1}, all},
		"array, named":                 {"[" + object + "]", UsersJSON, userPlace{1, 1}, all},
		"array, over lines":            {"\ufeff\r\n[\r\n\r\n" + jsonOf("\r\n", everything())[0] + "\r\n]\r\n", "", userPlace{4, 1}, all},
		"lines":                        {object, "", userPlace{1, 0}, all},
		"lines, named":                 {"\n  \n" + object + "\n", UsersJSON, userPlace{3, 0}, all},
		"lines, CRLF, byte order mark": {"\ufeff" + object + "\r\n\r\n", "", userPlace{1, 0}, all},
		"lines, escapes":               {strings.Replace(object, `"email":`, `"\u0065mail":`, 1), "", userPlace{1, 0}, all},
		"lines, null says nothing":     {`{"gender":null,"roles":null,"address":null,"status":null,"email":"ada@globex.test"}`, "", userPlace{1, 0}, little},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := ReadUsers(iotest.OneByteReader(strings.NewReader(c.text)), c.format)
			if err != nil || len(f.problems) > 0 || len(f.rows) != 1 || f.users != 1 {
				t.Fatalf("got %+v, %v", f, err)
			}
			want := *c.want
			want.userPlace = c.at
			if diff := cmp.Diff(&want, f.rows[0], cmp.AllowUnexported(userRow{}, userPlace{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One thing wrong with the second of three users: it is named, in each format, and
// the others are read.
func TestReadUsersNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		field string
		value [2]string
	}{
		`id "a/b": want up to 255 letters`:                           {"id", text2("a/b")},
		`id "ada@globex.test": want up`:                              {"id", text2("ada@globex.test")},
		`id "usr_1": is on line`:                                     {"id", text2("usr_1")},
		`email: is missing`:                                          {"email", text2("")},
		`email: is missin`:                                           {"email", [2]string{"", "null"}},
		`email "user2": want an address`:                             {"email", text2("user2")},
		`email "a\nroot@x.test": has control characters`:             {"email", text2("a\nroot@x.test")},
		`email "USER1@Globex.test": is on line`:                      {"email", text2("USER1@Globex.test")},
		`email "ｕser1@globex.test": is on line`:                      {"email", text2("ｕser1@globex.test")},
		`email_verified "yes": want true or false`:                   {"email_verified", text2("yes")},
		`email_verified "1": want true or false`:                     {"email_verified", [2]string{"1", "1"}},
		`name " Ada": has white space around it`:                     {"name", text2(" Ada")},
		`email "a@x.test\u200b": has characters that cannot be seen`: {"email", text2("a@x.test\u200b")},
		`name "a\u202eb": has control characters`:                    {"name", text2("a\u202eb")},
		`name "a\x1b[2Jb": has control characters`:                   {"name", text2("a\x1b[2Jb")},
		`xxx...": longer than 300 bytes`:                             {"name", text2(strings.Repeat("x", 400))},
		`birthdate "1815-02-29": there is no such day`:               {"birthdate", text2("1815-02-29")},
		`phone_number_verified: there is no phone_number`:            {"phone_number_verified", [2]string{"true", "true"}},
		`address "{\"planet\":\"Earth\"}": want an object`:           {"address", [2]string{`{"planet":"Earth"}`, `{"planet":"Earth"}`}},
		`address "Downing Street": want an object`:                   {"address", text2("Downing Street")},
		`status "gone": want active or disabled`:                     {"status", text2("gone")},
		`never_impersonate "no": want true or false`:                 {"never_impersonate", text2("no")},
		`roles "admin": is there twice`:                              {"roles", [2]string{"admin;admin", `["admin","admin"]`}},
		`roles: has an empty name in it`:                             {"roles", [2]string{"admin;", `["admin",null]`}},
		`organizations "a\tb": has control characters`:               {"organizations", [2]string{"a\tb", `["a\tb"]`}},
		`organizations "Globex": is there twice`:                     {"organizations", [2]string{"Globex; Globex", `["Globex","Globex"]`}},
		`roles: has more than 100 names in it`:                       {"roles", [2]string{strings.Repeat("x;", 100), "[" + strings.Repeat(`"x",`, 100) + `""]`}},
		`password_hash: want a bcrypt hash ($2a$, $2b$ or $2`:        {"password_hash", text2("5f4dcc3b5aa765d61d8327deb882cf99")},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			users := []sample{nth(1), nth(2), nth(3)}
			users[1][c.field] = c.value
			objects := jsonOf("\n", users...)
			lines := strings.ReplaceAll(strings.Join(objects, "\r"), "\n", " ")
			for text, at := range map[string]string{
				csvOf(',', users...):                             "line 3: ",
				strings.ReplaceAll(lines, "\r", "\n"):            "line 2: ",
				"[" + strings.ReplaceAll(lines, "\r", ",") + "]": "line 1, object 2: ",
			} {
				f, err := ReadUsers(strings.NewReader(text), "")
				if err != nil {
					t.Fatal(err)
				}
				if len(f.problems) != 1 || !strings.HasPrefix(f.problems[0].Error(), at) || !strings.Contains(f.problems[0].Error(), want) {
					t.Errorf("got %v, want %s%s, in\n%s", f.problems, at, want, text)
				}
				if len(f.rows) != 2 || f.users != 3 || f.rows[1].user.ID != "usr_3" {
					t.Errorf("got %d rows of %d", len(f.rows), f.users)
				}
			}
		})
	}
}

// What a line is before it is a user.
func TestReadUsersLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"email,name\na@x.test\nb@x.test,B":                                            "line 2: has 1 cells, but the header has 2",
		"email\na@x.test,root\nb@x.test":                                              "line 2: has 2 cells, but the header has 1",
		"email\na@x.test\rroot@x.test\nb@x.test":                                      "line 2: has a carriage return within a line; lines end with LF or CRLF",
		"email,name\na@x.test,\"a\rb\"\nb@x.test,":                                    "line 2: has a carriage return within a line; lines end with LF or CRLF",
		"email\r\na\x00@x.test\r\nb@x.test\r\n":                                       "line 2: has a NUL",
		"email\nb\xe9@x.test\nb@x.test":                                               "line 2: is not UTF-8",
		"email\n\n\n\"" + strings.Repeat("x", 65<<10) + "\"\nb@x.test":                "line 4: longer than 65536 bytes",
		"email,id\nusr_2,usr_1\nb@x.test,usr_2":                                       "line 2: email \"usr_2\": want an address like ada@example.com, without a name",
		`{"email":"a@x.test"` + "\n" + `{"email":"b@x.test"}`:                         "line 1: want one JSON object",
		`{"email":"a@x.test"}{}` + "\n" + `{"email":"b@x.test"}`:                      "line 1: want one JSON object",
		`{"email":"b@x.test"}` + "\n[]":                                               "line 2: want one JSON object",
		`{"email":"b@x.test"}` + "\nnull":                                             "line 2: want one JSON object",
		`{"email":"b@x.test"}` + "\n\xff":                                             "line 2: is not UTF-8",
		`{"email":"b@x.test"}` + "\n" + `{"email":"` + "\xe9" + `@x.test"}`:           "line 2: is not UTF-8",
		`{"email":"b@x.test"}` + "\n" + `{"email":"a@x.test","email":"c@d"}`:          `line 2: "email" is there twice`,
		`{"email":"b@x.test"}` + "\n" + `{"email":` + "\r" + `"a@x.test"}`:            "line 2: has a carriage return within a line; lines end with LF or CRLF",
		`["a@x.test",` + "\n" + `{"email":"b@x.test"}]`:                               "line 1, object 1: want one JSON object",
		`[{"email":"b@x.test"},` + "\n\n" + `{"email":"a@x.test","\u0065mail":null}]`: `line 3, object 2: "email" is there twice`,
	} {
		f, err := ReadUsers(strings.NewReader(text), "")
		if err != nil || fmt.Sprint(f.problems) != "["+want+"]" || len(f.rows) != 1 || f.rows[0].user.Email != "b@x.test" || f.users != 2 {
			t.Errorf("%.200q: got %+v, %v, want %s", text, f, err, want)
		}
	}
}

// A file of which nobody can tell what it says is refused as a whole.
func TestReadUsersRefusesFiles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "is empty",
		"\ufeff \r\n\n":                    "is empty",
		"\xff\xfee\x00m\x00":               "is UTF-16: save it as UTF-8",
		"email\ra@x.test\r":                "line 1: has a carriage return within a line",
		"email\xe9\na@x.test":              "line 1: is not UTF-8",
		"name\nAda":                        `line 1: there is no column "email"`,
		"email,emial\na@x.test,":           `line 1: column "emial": there is no such field; did you mean email?`,
		"email,emailVerified\na@x.test,":   "did you mean email_verified?",
		"email,Organization\na@x.test,":    "did you mean organizations?",
		"email,org\na@x.test,":             "did you mean organizations?",
		"email,user_name\na@x.test,":       `"user_name": there is no such field; there are address, birthdate`,
		"email,email_key\na@x.test,":       `column "email_key": there is no such field`, // D14
		"email,created_at\na@x.test,":      `column "created_at": there is no such field`,
		"email,password_changed_at\na@,":   `column "password_changed_at": there is no such field`,
		"email,sub\na@x.test,":             `column "sub": there is no such field; there are`,
		"email,\na@x.test,":                `column "": there is no such field; there are`,
		"email,1\na@x.test,":               `column "1": there is no such field; there are`,
		"email,password\na@x.test,secret":  `column "password": only hashes are imported, as password_hash`,
		"email,name,email\na@x.test,A,b@x": `line 1: column "email": is there twice`,
		"email,name\na@x.test,A\n\nb@x.test,\"B\nc@x.test,C\n":     "line 4: it cannot be told where the row ends",
		"email,name\na@x.test,A \"B\" C\nb@x.test,\n":              "line 2: it cannot be told where the row ends",
		"email,name\na@x.test,\"A\" B\nb@x.test,\n":                "line 2: it cannot be told where the row ends",
		"\"email,name\na@x.test,A\n":                               "line 1: it cannot be told where the row ends",
		`[{"email":"a@x.test"}`:                                    "line 1: the array does not end",
		`[{"email":"a@x.test"},` + "\n" + `{"email":"b@x.test"`:    "line 2, object 2: is not JSON: unexpected EOF",
		`[{"email":"a@x.test"}` + "\n" + `{"email":"b@x.test"}]`:   "line 2, object 2: is not JSON",
		`[{"email":"a@x.test"}]` + "\n" + `[{"email":"b@x.test"}]`: "line 1: something follows the array",
		`[` + strings.Repeat("[", 20_000):                          "object 1: is not JSON: invalid character '[' exceeded max depth",
		"email\n" + strings.Repeat("a\n", 200_001):                 "line 200002: there are more than 200000 users: split the file",
		"email,name\na@x.test," + strings.Repeat("x", 64<<20):      "larger than 64 MiB: split it",
	} {
		if f, err := ReadUsers(strings.NewReader(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100q: got %.200v, %.300v, want %s", text, f, err, want)
		}
	}
	for format, want := range map[UserFormat]string{UsersCSV: "line 1: it cannot be told", "xml": `format "xml": want csv or json`} {
		if _, err := ReadUsers(strings.NewReader(`{"email":"a@x.test"}`), format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", format, err, want)
		}
	}
	if _, err := ReadUsers(iotest.ErrReader(io.ErrClosedPipe), ""); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	f, err := ReadUsers(strings.NewReader("email\na@x.test\n"), UsersJSON)
	if err != nil || fmt.Sprint(f.problems) != "[line 1: want one JSON object line 2: want one JSON object]" {
		t.Errorf("got %+v, %v", f, err)
	}
}

// What is nobody's business is in no message (SECURITY G04), and neither is what
// moves a cursor.
func TestReadUsersTellsNoSecrets(t *testing.T) {
	t.Parallel()
	const secret = "5f4dcc3b5aa765d6"
	for _, text := range []string{
		"email,password_hash\na@x.test," + secret, "email,password\na@x.test," + secret,
		`{"email":"a@x.test","password":"` + secret + `"}`, `{"email":"a@x.test","password_hash":["` + secret + `"]}`,
		`{"email":"a@x.test","hash\u001b[2J":"` + secret + `"}`,
	} {
		f, err := ReadUsers(strings.NewReader(text), "")
		said := fmt.Sprint(err)
		if err == nil {
			said = fmt.Sprint(f.problems)
			if len(f.rows) != 0 {
				t.Errorf("%s: is taken", text)
			}
		}
		if strings.Contains(said, secret) || strings.Contains(said, "\x1b") || !strings.Contains(said, "hash") {
			t.Errorf("%s: got %q", text, said)
		}
	}
}

// What hashes a sign-in can verify, and can afford to. One thing wrong a row.
func TestCheckHash(t *testing.T) {
	t.Parallel()
	argon := func(m, t, p int) string {
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g", m, t, p)
	}
	for _, hash := range []string{
		goodBcrypt, goodArgon, "$2a$04" + goodBcrypt[6:], "$2b$14" + goodBcrypt[6:], argon(8, 1, 1), argon(128, 1, 16), argon(262144, 4, 1), argon(65536, 16, 1),
	} {
		if err := checkHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
	const which, cost, params, length = "want a bcrypt hash", "want bcrypt with a cost of 4 to 14", "want argon2id with m of 8p to 262144, t of 1 to 16", "want argon2id with a salt"
	for hash, want := range map[string]string{
		"":                                            which,
		"secret":                                      which,
		" " + goodBcrypt:                              which,
		goodBcrypt + "\n":                             which,
		goodBcrypt[:59]:                               which,
		goodBcrypt + "x":                              which,
		"$2x" + goodBcrypt[3:]:                        which,
		"$2$10" + goodBcrypt[6:]:                      which,
		"$2a$1x" + goodBcrypt[6:]:                     which,
		goodBcrypt[:20] + "=" + goodBcrypt[21:]:       which,
		"$2a$03" + goodBcrypt[6:]:                     cost,
		"$2a$15" + goodBcrypt[6:]:                     cost,
		"$2a$31" + goodBcrypt[6:]:                     cost,
		"$2a$99" + goodBcrypt[6:]:                     cost,
		"$argon2i" + goodArgon[9:]:                    which,
		"$argon2d" + goodArgon[9:]:                    which,
		strings.Replace(goodArgon, "v=19", "v=16", 1): which,
		strings.Replace(goodArgon, "$v=19", "", 1):    which,
		strings.Replace(goodArgon, "m=65536", "m=+65536", 1): which,
		strings.Replace(goodArgon, "p=4", "p=4x", 1):         which,
		strings.Replace(goodArgon, "p=4", "p=04", 1):         which,
		strings.Replace(goodArgon, "p=4", "p=256", 1):        which,
		goodArgon + "=":             which,
		goodArgon + "$":             which,
		argon(7, 1, 1):              params,
		argon(127, 1, 16):           params,
		argon(262145, 1, 1):         params,
		argon(4294967295, 1, 1):     params,
		argon(65536, 0, 1):          params,
		argon(65536, 17, 1):         params,
		argon(65536, 4294967295, 1): params,
		argon(262144, 5, 1):         params,
		argon(65536, 1, 0):          params,
		argon(65536, 1, 17):         params,
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA":                             length,
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA":                             length,
		"$argon2id$v=19$m=64,t=1,p=1$$aGFzaGhhc2hoYXNoaGFzaA":                                   length,
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("c2Fs", 30) + "$aGFzaGhhc2hoYXNoaGFzaA": length,
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + strings.Repeat("aGFz", 30):      length,
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaG":             which, // bits that say nothing
	} {
		if err := checkHash(hash); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", hash, err, want)
		} else if len(hash) > 8 && strings.Contains(err.Error(), hash) {
			t.Errorf("%q: says the hash", hash)
		}
	}
}

// Whatever a file says: users who are taken are valid, have a hash that can be
// verified and nothing in common, and there are no more of them, good and bad, than
// lines, or objects.
func FuzzReadUsers(f *testing.F) {
	for _, comma := range ",;\t" {
		f.Add([]byte(csvOf(comma, everything(), nth(1), nth(2))))
	}
	lines := strings.Join(jsonOf(" ", everything(), nth(1), nth(2)), "\n")
	for _, text := range []string{
		lines, "[" + strings.ReplaceAll(lines, "\n", ",\n") + "]", "\ufeffemail,name\r\na@x.test,\"a\r\nb\"\r\n\r\n\"a@x.test\",\r", "email\n\"", "\xff\xfe", "",
		"email,email\n", "email\na@x.test\nA@X.test", "[1,{},[],null,\"x\"", `{"email":"a@x.test","email":"b@x.test"}`, "email,password_hash\na@x.test," + goodArgon, "[]]",
		`{"email":"\ud800@x.test","name":"\u0000"}`, "email;organizations\na@x.test;\"a;b:c\"\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ReadUsers(bytes.NewReader(text), "")
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, row := range file.rows {
			if err := ValidateUser(&row.user); err != nil {
				t.Errorf("%q: takes %+v: %v", text, row, err)
			}
			if hash := row.user.PasswordHash; hash != "" && checkHash(hash) != nil {
				t.Errorf("%q: takes the hash %s", text, hash)
			}
			if s := row.user.Status; s != "" && s != storage.UserActive && s != storage.UserDisabled {
				t.Errorf("%q: takes the status %s", text, s)
			}
			for _, key := range []string{row.user.ID, storage.EmailKey(row.user.Email)} {
				if key != "" && seen[key] {
					t.Errorf("%q: takes %s twice", text, key)
				}
				seen[key] = true
			}
			if row.user.CreatedAt.Set() || row.user.UpdatedAt.Set() || row.user.PasswordChangedAt.Set() || row.user.EmailKey != "" {
				t.Errorf("%q: sets %+v", text, row.user)
			}
		}
		bad := map[userPlace]bool{}
		for _, p := range file.problems {
			bad[p.place()] = true
		}
		most := bytes.Count(text, []byte("\n")) + 1
		if bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n"), []byte("[")) {
			most = bytes.Count(text, []byte(",")) + 1
		}
		if len(file.rows)+len(bad) != file.users || file.users > most {
			t.Errorf("%q: %d good and %d bad of %d, and room for %d", text, len(file.rows), len(bad), file.users, most)
		}
		for _, p := range file.problems {
			if p.Line < 1 || p.Wrong == "" || p.Field == "password_hash" && p.Value != "" || strings.ContainsAny(p.Error(), "\x00\x1b\r") {
				t.Errorf("%q: says %q", text, p.Error())
			}
		}
	})
}
