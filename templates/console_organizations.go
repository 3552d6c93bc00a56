package templates

import "net/http"

// OrganizationsPage lists organizations.
type OrganizationsPage struct {
	Page
	Query        string
	Rows         []OrganizationRow
	Newer, Older string // the pages before and after this one
	MayCreate    bool
	Form         Form // of a new one
}

// OrganizationRow is an organization in a list.
type OrganizationRow struct {
	ID, Name string
	Members  int64
}

// Organizations posts a new one to p.Form.Action.
func (s *Set) Organizations(w http.ResponseWriter, status int, p OrganizationsPage) error {
	return s.render(w, status, "console/organizations", p)
}

// OrganizationPage shows an organization and its members.
type OrganizationPage struct {
	Page
	ID, Name     string
	MayWrite     bool
	MayDelete    bool
	Delete       Form
	Query        string
	Rows         []MemberRow
	Newer, Older string // the pages before and after this one
	Rename       Form
	Add          Form
}

// MemberRow is a member in a list.
type MemberRow struct {
	ID, Name, Email, Role string
	Disabled              bool
}

// Organization has a form to rename it and one to add a member.
func (s *Set) Organization(w http.ResponseWriter, status int, p OrganizationPage) error {
	return s.render(w, status, "console/organization", p)
}

// MemberPage changes a membership.
type MemberPage struct {
	Page
	OrganizationID, OrganizationName string
	Member                           MemberRow
	MayChange                        bool // else Why
	Why                              string
	Form                             Form // of the role
	Remove                           Form
}

// Member posts a role to p.Form.Action.
func (s *Set) Member(w http.ResponseWriter, status int, p MemberPage) error {
	return s.render(w, status, "console/member", p)
}
