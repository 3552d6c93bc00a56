package handlers_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// upload posts a form with a file, where file is not empty.
func upload(b *idptest.Browser, file string, fields ...string) *idptest.Response {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		_ = w.WriteField(fields[i], fields[i+1])
	}
	if file != "" {
		part, _ := w.CreateFormFile("file", "users.csv")
		_, _ = part.Write([]byte(file))
	}
	_ = w.Close()
	r := httptest.NewRequest(http.MethodPost, "/admin/users/import", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.Do(r)
}

func TestImportUsersInConsole(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		withUserRoles(t, idp)
		root, uma := inConsole(t, idp, "root"), inConsole(t, idp, "uma")
		many := "email,name\n"
		for i := range 600 { // larger than any other form, and several batches
			many += fmt.Sprintf("m%d@many.test,Somebody with %s name %d\n", i, strings.Repeat("quite a long ", 10), i)
		}
		for _, c := range []struct {
			name, file string
			fields     []string
			status     int
			says       string
			added      string // an address
		}{
			{"check", "email\nc1@x.test\n", []string{"action", "check"}, http.StatusOK, "1 of 1 users would be added.", ""},
			{"without a word", "email\nc1@x.test\n", nil, http.StatusOK, "would be added", ""},
			{"import", "email,roles\nc1@x.test,support\n", []string{"action", "import"}, http.StatusSeeOther, "", "c1@x.test"},
			{"text", "", []string{"text", `{"email": "c2@x.test"}`, "action", "import"}, http.StatusSeeOther, "", "c2@x.test"},
			{"again", "email\nc1@x.test\n", []string{"action", "import"}, http.StatusBadRequest, "line 2: email", ""},
			{"again, leaving them", "email\nc1@x.test\nc3@x.test", []string{"action", "import", "skip_existing", "on"}, http.StatusSeeOther, "", "c3@x.test"},
			{"a bad line", "email\nc4@x.test\nada\n", []string{"action", "import"}, http.StatusBadRequest, "line 3: email", ""},
			{"a bad line, skipped", "email\nc4@x.test\nada\n", []string{"action", "import", "skip_bad", "on"}, http.StatusOK, "1 of 2 users were added.", "c4@x.test"},
			{"no file", "", []string{"action", "import"}, http.StatusBadRequest, `<a href="#file">`, ""},
			{"no header", "ada", []string{"action", "import"}, http.StatusBadRequest, `<a href="#file">`, ""},
			{"markup", "email\n\"<script>alert(1)</script>\"\n", nil, http.StatusBadRequest, "&lt;script&gt;", ""},
			{"many", many, []string{"action", "import"}, http.StatusSeeOther, "", "m599@many.test"},
			{"many bad ones", strings.ReplaceAll(many, "many.test", "no where"), nil, http.StatusBadRequest, "and 500 more", ""},
			{"too much", strings.Repeat("x", 11<<20), nil, http.StatusRequestEntityTooLarge, "", ""},
			{"a field twice", "email\nc5@x.test\n", []string{"action", "check", "action", "import"}, http.StatusBadRequest, "", ""},
		} {
			w := upload(root, c.file, c.fields...)
			if w.Status != c.status || !strings.Contains(w.Body, c.says) || len(w.Body) > 30_000 {
				t.Errorf("%s: status %d, want %d, and %q: %.3000s", c.name, w.Status, c.status, c.says, w.Body)
			}
			if c.added != "" {
				if u, err := idp.Store.UserByEmail(t.Context(), c.added); err != nil {
					t.Errorf("%s: %s was not added: %v", c.name, c.added, err)
				} else {
					onRecord(t, idp, storage.EventUserCreated, "usr_root", u.ID)
				}
			}
		}
		for _, address := range []string{"c5@x.test", "ada"} {
			if _, err := idp.Store.UserByEmail(t.Context(), address); err == nil {
				t.Errorf("%s was added", address)
			}
		}

		// F08: who may not give a role does not give it in a file either.
		w := upload(uma, "email,roles\nevil@x.test,admin\n", "action", "import")
		if _, err := idp.Store.UserByEmail(t.Context(), "evil@x.test"); w.Status != http.StatusBadRequest || err == nil {
			t.Errorf("uma made an administrator: status %d: %s", w.Status, w.Body)
		}
		for name, want := range map[string]int{"ulf": http.StatusForbidden, "ora": http.StatusForbidden, "sam": http.StatusForbidden, "ada": http.StatusForbidden} {
			b := inConsole(t, idp, name)
			if w := b.Get("/admin/users/import"); w.Status != want {
				t.Errorf("%s: status %d, want %d", name, w.Status, want)
			}
			if w := upload(b, "email\nevil@x.test\n", "action", "import"); w.Status != want {
				t.Errorf("%s imports: status %d, want %d", name, w.Status, want)
			}
		}
		if w := root.Post("/admin/users/import", nil); w.Status != http.StatusBadRequest {
			t.Errorf("another kind of form: status %d", w.Status)
		}
		if w := upload(idp.Browser(t), "email\nevil@x.test\n", "action", "import"); w.Status != http.StatusSeeOther || !strings.HasPrefix(w.Header.Get("Location"), "/login") {
			t.Errorf("nobody: status %d to %s", w.Status, w.Header.Get("Location"))
		}
		execute(t, idp, `UPDATE login_sessions SET auth_time = $1`, storage.At(time.Now().Add(-10*time.Minute)))
		if w := upload(root, "email\nevil@x.test\n", "action", "import"); w.Status != http.StatusBadRequest || !strings.Contains(w.Body, `<a href="#password">`) {
			t.Errorf("without the password: status %d: %s", w.Status, w.Body)
		}
	})
}
