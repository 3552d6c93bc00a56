package templates

import "net/http"

// SetupPage makes an administrator of whoever opened a setup link. It never shows
// a password that was typed. A Person who is signed in is told what becomes of it.
type SetupPage struct {
	Page
	Action      string
	Name, Email string
	Errors      []FieldError // of name, email and password
}

// Setup posts name, email and password to p.Action.
func (s *Set) Setup(w http.ResponseWriter, status int, p SetupPage) error {
	v := setupView{Page: p.Page, Form: p, Problem: map[string]string{}}
	for _, e := range p.Errors {
		v.Problem[e.Field] = e.Message
	}
	return s.render(w, status, "setup", v)
}

// setupView is a SetupPage with its errors at their fields.
type setupView struct {
	Page
	Form    SetupPage
	Problem map[string]string
}

// ChecklistPage says what is left to do in a new installation.
type ChecklistPage struct {
	Page
	Steps []ChecklistStep
}

// Command is a command line in parts, such as an option and its value: on a narrow
// page a line ends between two of them.
type Command []string

// ChecklistStep is one thing to do, with the page of the console and the commands that
// do it. A Count stands in State where that has %d.
type ChecklistStep struct {
	Title, State string
	URL          string
	Count        int64
	Done         bool
	Commands     []Command
}

// Checklist has no form.
func (s *Set) Checklist(w http.ResponseWriter, status int, p ChecklistPage) error {
	left := 0
	for _, step := range p.Steps {
		if !step.Done {
			left++
		}
	}
	return s.render(w, status, "checklist", struct {
		Page
		Steps []ChecklistStep
		Left  int
	}{p.Page, p.Steps, left})
}
