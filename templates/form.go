package templates

import "strings"

// FieldKind says what a field of a form is typed or chosen with.
type FieldKind int

// The kinds of fields.
const (
	FieldLine     FieldKind = iota // a line of text
	FieldLines                     // text of several lines
	FieldCheck                     // yes or no
	FieldSelect                    // one of Choices
	FieldRadio                     // one of Choices, each with its sentence
	FieldChecks                    // any of Choices; a chosen one is posted as name.value
	FieldPassword                  // never filled in
)

// Field is one of a form that is made from a list. Label, Hint and Error are in
// English, and are translated where the catalogue has them.
type Field struct {
	Kind     FieldKind
	Name     string // also the id
	Label    string
	Hint     string
	Value    string
	Checked  bool
	Required bool
	Choices  []Choice
	Error    string
}

// Rows is how many lines a field for several shows.
func (f Field) Rows() int {
	rows := 2
	for _, r := range f.Value {
		if r == '\n' && rows < 8 {
			rows++
		}
	}
	return rows
}

// parts is a text in the parts between which a line may end besides where it has spaces:
// the name of a permission, which may be longer than a small screen is wide, behind its
// colon.
func parts(text string) []string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_:") != "" {
		return []string{text}
	}
	return strings.SplitAfter(text, ":")
}

// Choice is one of a field's.
type Choice struct {
	Value, Label, Hint string
	Chosen             bool
}

// FieldGroup is a part of a form.
type FieldGroup struct {
	Title, Text string
	Fields      []Field
}

// Form is a form that is made from a list.
type Form struct {
	Action   string
	Version  string // of what it changes; empty: nothing yet
	Groups   []FieldGroup
	Problems []string // that belong to no field of it
}

// Failed reports whether something is wrong with what was sent.
func (f Form) Failed() bool {
	for _, g := range f.Groups {
		for _, field := range g.Fields {
			if field.Error != "" {
				return true
			}
		}
	}
	return len(f.Problems) > 0
}
