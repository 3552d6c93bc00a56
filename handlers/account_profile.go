package handlers

import (
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/templates"
)

// profileFields are the fields of the profile, in their order.
var profileFields = []string{"name", "given_name", "family_name", "nickname", "locale", "zoneinfo", "picture", "website", "profile"}

// profile shows what the person says about themselves.
func (s *Server) profile(w http.ResponseWriter, r *http.Request, p *person) error {
	return s.pages.Profile(w, http.StatusOK, s.profilePage(r, p, provider.ProfileOf(&p.User)))
}

func (s *Server) profilePage(r *http.Request, p *person, says provider.Profile) templates.ProfilePage {
	return templates.ProfilePage{
		Page: s.accountFrame(r, p), EmailVerified: p.User.EmailVerified,
		Name: says.Name, GivenName: says.GivenName, FamilyName: says.FamilyName, Nickname: says.Nickname,
		Locale: says.Locale, Zoneinfo: says.Zoneinfo, Picture: says.Picture, Website: says.Website, ProfileURL: says.Profile,
	}
}

// setProfile keeps what the person says about themselves. Other fields of the form
// change nothing (SECURITY D13, D14).
func (s *Server) setProfile(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	field := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	says := provider.Profile{
		Name: field("name"), GivenName: field("given_name"), FamilyName: field("family_name"), Nickname: field("nickname"),
		Locale: field("locale"), Zoneinfo: field("zoneinfo"), Picture: field("picture"), Website: field("website"), Profile: field("profile"),
	}
	if problems := says.Problems(); len(problems) > 0 {
		page := s.profilePage(r, p, says)
		for _, name := range profileFields {
			if message := problems[name]; message != "" {
				page.Errors = append(page.Errors, templates.FieldError{Field: name, Message: message})
			}
		}
		return s.pages.Profile(w, http.StatusBadRequest, page)
	}
	if err := s.provider.Directory().SetProfile(r.Context(), p.User.ID, says, s.info(r), time.Now()); err != nil {
		return err
	}
	redirect(w, "/account/profile?done=profile_saved")
	return nil
}
