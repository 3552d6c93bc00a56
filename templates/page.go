package templates

import (
	"strings"
	"time"
	"unicode"
)

// Page is what every page may show around its content. The zero value is a page
// for nobody in particular, in English.
type Page struct {
	Person *Person
	Acting *Acting
	Lang   string // the tag of one of Languages; else English
	// Languages, where there are any, lets the person choose another.
	Languages []Language
	// Notice says what the person has just done.
	Notice string
	// Sections are those of the console or the account that the person may see, on
	// their pages.
	Sections []Section
}

func (p Page) language() string { return p.Lang }

// Section is an entry of the menu.
type Section struct {
	Label, URL string
	Count      int  // what waits there; zero: nothing
	Current    bool // the page belongs to it
}

// Person is the one who is signed in, shown beside a "Sign out" link.
type Person struct{ Name, Email string }

// Acting makes a page say, in an amber bar, its title and its icon, that the
// browser is acting as someone else.
type Acting struct {
	SubjectName, ActorName, ClientName string
	EndsAt, Now                        time.Time
	// StopURL is where the bar's "Stop" leads; without it there is none.
	StopURL string
}

// HiddenField is carried by a form from one request to the next.
type HiddenField struct{ Name, Value string }

// initial stands for a logo: logos are remote, and no page but the consent page
// loads anything remote.
func initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return strings.ToUpper(string(r))
		}
	}
	return "•"
}

// hue picks one of the theme's six colours, always the same for a name.
func hue(name string) int {
	sum := 0
	for _, b := range []byte(name) {
		sum += int(b)
	}
	return sum % 6
}
