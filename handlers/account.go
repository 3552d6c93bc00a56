package handlers

import (
	"net/http"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// person is somebody on the pages of their own account.
type person struct {
	*storage.Login
	acting *templates.Acting // as whom, in this browser; nil: as nobody
}

// account adapts a row of the account's table: somebody must be signed in, and
// changes nothing of their own while they act as somebody else.
func (s *Server) account(rt accountRoute) func(*Server, http.ResponseWriter, *http.Request) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request) error {
		l, err := s.currentLogin(r)
		if err != nil {
			return err
		}
		if l == nil {
			after := r.URL.RequestURI()
			if r.Method != http.MethodGet {
				after = "/account"
			}
			s.signInFirst(w, after)
			return nil
		}
		p := &person{Login: l}
		if p.acting, err = s.acting(r, l); err != nil {
			return err
		}
		if p.acting != nil && r.Method == http.MethodPost && !rt.whileActing {
			return errActing(p.acting)
		}
		return rt.serve(s, w, r, p)
	}
}

// accountFrame is what a page of the account has around its content.
func (s *Server) accountFrame(r *http.Request, p *person) templates.Page {
	page := s.frame(r, p.Login)
	page.Acting, page.Notice = p.acting, notice(r)
	for _, section := range accountSections {
		page.Sections = append(page.Sections, templates.Section{Label: section.label, URL: section.url, Current: inSection(r.URL.Path, section.url)})
	}
	if p.HasRole {
		page.Sections = append(page.Sections, templates.Section{Label: "Console", URL: "/admin"})
	}
	return page
}

// accountSections are the entries of the account's menu, in their order.
var accountSections = []struct{ label, url string }{
	{"Your account", "/account"},
	{"Security activity", "/account/activity"},
	{"Support access", "/account/support-access"},
	{"Sessions", "/account/sessions"},
	{"Applications", "/account/applications"},
	{"Profile", "/account/profile"},
	{"Password", "/account/password"},
}
