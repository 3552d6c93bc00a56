package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// languageCookie holds the language that a person chose.
const languageCookie = "_lang"

// frame is what a page has around its content. Nobody is signed in where l is nil.
func (s *Server) frame(r *http.Request, l *storage.Login) templates.Page {
	p := templates.Page{Lang: s.language(r), Languages: templates.Languages()}
	if l != nil {
		p.Person = personOf(&l.User)
	}
	return p
}

// uiLocales is the parameter with the languages that an application asks for, with
// spaces between them (OpenID Connect Core 3.1.2.1, RP-Initiated Logout 1.0).
const uiLocales = "ui_locales"

// asksForLanguages notes what the request of an application asks for: it may have come
// by other ways than the address of the page.
func asksForLanguages(r *http.Request, form url.Values) {
	notesOf(r.Context()).locales = form.Get(uiLocales)
}

// language is what the person chose, else what the application asks for, else what the
// browser does.
func (s *Server) language(r *http.Request) string {
	asked := strings.ReplaceAll(notesOf(r.Context()).locales, " ", ",")
	return templates.MatchLanguage(s.cookie(r, languageCookie), asked, r.Header.Get("Accept-Language"))
}

// chooseLanguage keeps a choice of language and goes back to the page it was made on.
func (s *Server) chooseLanguage(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	tag := form.Get("lang")
	if !slices.Contains(templates.LanguageTags(), tag) {
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "There is no such language."}
	}
	s.setCookie(w, languageCookie, tag, 365*24*time.Hour)
	to := s.cameFrom(r)
	if path, _, _ := strings.Cut(to, "?"); path == "" || path == r.URL.Path { // no page of ours: this address has none
		to = "/"
	}
	redirect(w, to)
	return nil
}

// cameFrom is the page of ours that a form was sent from: path and query. Empty: the
// browser does not say, or it is none of ours.
func (s *Server) cameFrom(r *http.Request) string {
	rest, ours := strings.CutPrefix(r.Referer(), s.provider.Issuer()+"/")
	if !ours {
		return ""
	}
	return localPath("/" + rest)
}

// localPath returns path and query of an address without a host, empty where it is
// not that: a browser must not take it for another site's.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return ""
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

// afterCookie holds where a person wanted to go when they had to sign in first.
const afterCookie = "_after"

// afterPrefixes begin the addresses that a sign-in may lead to.
var afterPrefixes = []string{"/admin", "/account", "/impersonate/"}

// signInFirst sends the browser to the login page, and afterwards to where it wanted
// to go. The address is not a parameter: nobody else can choose it (SECURITY C11).
func (s *Server) signInFirst(w http.ResponseWriter, after string) {
	s.setCookie(w, afterCookie, url.QueryEscape(after), interactionLifetime)
	redirect(w, "/login?again=1")
}

// after returns where the person wanted to go, and forgets it.
func (s *Server) after(w http.ResponseWriter, r *http.Request) string {
	kept := s.cookie(r, afterCookie)
	if kept == "" {
		return "/"
	}
	s.setCookie(w, afterCookie, "", -time.Second)
	text, err := url.QueryUnescape(kept)
	if err != nil {
		return "/"
	}
	path := localPath(text)
	if !slices.ContainsFunc(afterPrefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
		return "/"
	}
	return path
}

// acting is what the amber bar says: as whom the person acts in this browser. nil:
// as nobody.
func (s *Server) acting(r *http.Request, l *storage.Login) (*templates.Acting, error) {
	if !l.HasRole {
		return nil, nil // as nearly everybody
	}
	now := time.Now()
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{LoginSID: l.SID, Running: true, Limit: 1}, now)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	i := &running[0]
	_, subject, client, err := s.parties(r, i)
	return &templates.Acting{
		SubjectName: subject, ClientName: client, EndsAt: i.ExpiresAt.Time(), Now: now,
		StopURL: "/impersonation/stop?id=" + url.QueryEscape(i.ID),
	}, err
}

// errActing refuses what nobody does while they act as somebody else (SECURITY A05,
// A17): they might take their own account for the other's.
func errActing(a *templates.Acting) error {
	return &pageErr{
		Status: http.StatusForbidden, Code: "impersonation_forbidden", ActingAs: a.SubjectName,
		Message: "Stop first. Nothing is changed here while you act as someone else.",
		BackURL: a.StopURL, BackLabel: "Stop",
	}
}

// notices are what pages say after something was done, by the done parameter.
var notices = map[string]string{
	"approval_requested": "Your request waits for somebody to approve it.",
	"approval_given":     "You have approved it.", "approval_denied": "You have denied it.",
	"access_requested": "The user was asked. The answer shows here.",
	"stopped":          "It was stopped.", "had_ended": "It had ended already.", "all_stopped": "All were stopped.",
	"key-revoked":          "The key opens nothing any more.",
	"ended":                "It has ended. Whoever was signed in as you is not any more.",
	"reported":             "Thank you. Your report is on the record.",
	"support_access":       "Your choice holds from now on.",
	"request_approved":     "You have approved the request.",
	"request_denied":       "You have denied the request.",
	"session_ended":        "That sign-in has ended.",
	"sessions_ended":       "You are signed in nowhere else any more.",
	"application_revoked":  "The application can no longer use your account.",
	"profile_saved":        "Your profile is saved.",
	"password_changed":     "Your password is changed. You are signed in nowhere else any more.",
	"client-saved":         "Saved.",
	"client-disabled":      "Disabled. All that was granted to it has ended.",
	"client-enabled":       "Enabled.",
	"client-deleted":       "The application was deleted.",
	"secret-stored":        "The secret is not shown any more.",
	"secret-dropped":       "The old secret is worth nothing any more.",
	"organization-created": "The organization was created.",
	"organization-renamed": "Renamed.",
	"organization-deleted": "The organization was deleted.",
	"role-created":         "The role was created.",
	"role-saved":           "Saved. It holds at once for everybody who has the role.",
	"role-deleted":         "The role was deleted.",
	"member-added":         "Added.",
	"member-changed":       "Saved.",
	"member-removed":       "Removed.",
	"user_created":         "The user was created.",
	"user_saved":           "What is said about the user was saved.",
	"user_disabled":        "The user was disabled, and everything they had open has ended.",
	"user_enabled":         "The user can sign in again.",
	"user_deleted":         "The user was deleted.",
	"role_granted":         "The role was given.",
	"role_revoked":         "The role was taken away.",
	"sign_in_ended":        "The sign-in has ended.",
	"sign_ins_ended":       "All sign-ins have ended.",
	"application_ended":    "The application can do nothing more for the user.",
	"users_imported":       "The users of the file were imported.",
	"verified":             "The record was read from end to end.",
	"verifying":            "The record is being read. Look again in a while.",
	"keys-rotated":         "The next keys are published. They sign from 24 hours from now on.",
	"keys-published":       "The next keys are published already. Nothing was done.",
	"keys-replaced":        "New keys sign now. The others are out of the key set.",
	"acting-on":            "Signing in as others is on.",
	"acting-off":           "Signing in as others is off. Nobody is signed in as somebody else any more.",
	"policy-saved":         "The policy was changed. It holds from now on.",
	"mail_tested":          "The test message was handed to the mail server.",
	"rule-set":             "The rule about support access was changed.",
	"webhook-saved":        "Saved.",
	"webhook-enabled":      "Enabled. It goes on from where it stopped.",
	"webhook-disabled":     "Disabled. What happens meanwhile waits.",
	"webhook-deleted":      "The webhook was deleted.",
	"webhook-replayed":     "It goes out again.",
	"webhook-answered":     "The test was delivered.",
	"webhook-silent":       "The test was not delivered. Below is why.",
	"webhook-tried":        "It was tried too often. Wait a few minutes.",
}

// notice returns what the person has just done, in words.
func notice(r *http.Request) string { return notices[r.URL.Query().Get("done")] }
