package handlers

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/templates"
)

const (
	// maxUpload is how large a file of users may be that comes through a browser. A
	// larger one is for the command line.
	maxUpload = 10 << 20

	// problemsShown is how many bad lines a page names.
	problemsShown = 100
)

// importUsersForm asks for a file of users.
func (s *Server) importUsersForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showImport(w, r, st, http.StatusOK, url.Values{}, nil, nil)
}

// importUsers looks at a file of users, or adds them when the form says so: nothing is
// kept in between, the same file comes again.
func (s *Server) importUsers(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := s.readUpload(w, r)
	if err != nil {
		return err
	}
	o := provider.ImportOptions{
		DryRun: form.Get("action") != "import", SkipBad: form.Has("skip_bad"), SkipExisting: form.Has("skip_existing"),
	}
	var problems []templates.FieldError
	if !o.DryRun {
		if problems, err = s.confirmedForm(w, r, st, form); err != nil {
			return err
		}
	}
	users, err := provider.ReadUsers(strings.NewReader(form.Get("file")+form.Get("text")), "")
	if err != nil {
		problems = append(problems, templates.FieldError{Field: "file", Message: "The file cannot be read: it " + err.Error() + "."})
	}
	if len(problems) > 0 {
		return s.showImport(w, r, st, http.StatusBadRequest, form, nil, problems)
	}
	report, err := s.provider.Directory().ImportUsers(r.Context(), users, o, s.by(r, st.Login), time.Now())
	switch {
	case err != nil:
		return err
	case !o.DryRun && report.Bad() == 0:
		redirect(w, "/admin/users?done=users_imported")
		return nil
	case report.Bad() > 0 && !o.SkipBad:
		return s.showImport(w, r, st, http.StatusBadRequest, form, report, nil)
	}
	return s.showImport(w, r, st, http.StatusOK, form, report, nil)
}

// readUpload reads a form with a file, which may be larger than other forms: whoever
// gets here may add users. It is read part by part, and nothing of it goes to a disk.
func (s *Server) readUpload(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if b, ok := r.Body.(*boundedBody); ok {
		r.Body = http.MaxBytesReader(w, b.whole, maxUpload)
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, malformed(err)
	}
	form := url.Values{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, malformed(err)
		}
		if err := readPart(form, part); err != nil {
			return nil, malformed(err)
		}
	}
	small := url.Values{}
	for name, values := range form {
		if name != "file" && name != "text" {
			small[name] = values
		}
	}
	if len(form["file"]) > 1 || len(form["text"]) > 1 {
		return nil, malformed(errors.New("a file twice"))
	}
	return form, provider.CheckParameters(small)
}

func readPart(form url.Values, part *multipart.Part) error {
	value, err := io.ReadAll(part) // the body is bounded
	form.Add(part.FormName(), string(value))
	return err
}

func (s *Server) showImport(
	w http.ResponseWriter, r *http.Request, st *staff, status int, form url.Values, report *provider.ImportReport, problems []templates.FieldError,
) error {
	p := templates.ImportPage{
		Page: s.consoleFrame(r, st), Posted: templates.Posted{Errors: problems, MustConfirm: s.mustConfirm(st.Login)},
		SkipBad: form.Has("skip_bad"), SkipExisting: form.Has("skip_existing"),
	}
	if text := form.Get("text"); len(text) <= 16<<10 { // or the page would be as large as the file
		p.Text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if report != nil {
		p.Checked, p.DryRun = true, report.DryRun
		p.Users, p.Created, p.Existing, p.Bad = report.Users, report.Created, report.Existing, report.Bad()
		for _, problem := range report.Problems[:min(len(report.Problems), problemsShown)] {
			p.Problems = append(p.Problems, problem.Error())
		}
		p.More = len(report.Problems) - len(p.Problems)
	}
	return s.pages.Import(w, status, p)
}
