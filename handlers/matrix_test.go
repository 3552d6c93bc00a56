package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// D14, F08, T24: every row of the console's table, for every role, held everywhere and
// held within one organization. What a role may do is what the roles' rows list; what a
// route asks for is what the table says.
func TestConsoleMatrix(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	roles, err := idp.Store.Roles(t.Context())
	check(t, err)
	table := handlers.ConsoleRoutes()
	if len(table) < 60 {
		t.Fatalf("%d routes", len(table))
	}
	for _, role := range append(roles, storage.Role{Name: ""}) {
		for _, local := range []bool{false, true} {
			name := unique("holder")
			enroll(t, idp, name, "")
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				if local || role.Name == "" {
					return tx.AddMember(ctx, "org_globex", "usr_"+name, role.Name, time.Now())
				}
				return tx.GrantRole(ctx, "usr_"+name, role.Name, time.Now())
			})
			may := func(rt handlers.ConsoleRoute) bool {
				return slices.Contains(role.Permissions, rt.Permission) && (!local || rt.Within)
			}
			anything := slices.ContainsFunc(table, may)
			b := inConsole(t, idp, name)
			for _, rt := range table {
				method, path, _ := strings.Cut(rt.Pattern, " ")
				path = strings.NewReplacer("{id}", "nobody", "{client}", "nothing", "{organization}", "nowhere", "{user}", "nobody", "{event}", "nothing", "{key}", "nothing").Replace(path)
				w := b.Get(path)
				if method == http.MethodPost {
					w = b.Post(path, url.Values{})
				}
				want := may(rt) || rt.Permission == "" && anything
				if allowed := textOf(w, "error-code") != "forbidden"; allowed != want || w.Status >= 500 {
					t.Errorf("%s (within one organization: %v) %s: status %d, allowed %v, want %v", role.Name, local, rt.Pattern, w.Status, allowed, want)
				}
			}
		}
	}
	for _, rt := range table {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		w := idp.Browser(t).Get(path)
		if method == http.MethodPost {
			w = idp.Browser(t).Post(path, nil)
		}
		if !strings.HasPrefix(w.Location().Path, "/login") {
			t.Errorf("nobody signed in, %s: %d %s", rt.Pattern, w.Status, w.Location())
		}
	}
}

// A05, A17: whoever acts as somebody reads the console, starts and stops, and changes
// nothing else in it.
func TestConsoleChangesNothingWhileActing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	b := inConsole(t, idp, "root")
	if code := b.ActAs("usr_ada", asking()); code == "" {
		t.Fatal("not acting")
	}
	for _, rt := range handlers.ConsoleRoutes() {
		path, post := strings.CutPrefix(rt.Pattern, "POST ")
		if !post {
			continue
		}
		w := b.Post(strings.NewReplacer("{id}", "usr_ada", "{client}", "app", "{organization}", "org_globex", "{user}", "usr_ada").Replace(path), url.Values{"password": {idptest.Password}})
		refused := w.Status == http.StatusForbidden && textOf(w, "error-code") == "impersonation_forbidden" && strings.Contains(w.Body, "/impersonation/stop?id=")
		if refused == rt.WhileActing {
			t.Errorf("%s: status %d, refused %v", rt.Pattern, w.Status, refused)
		}
	}
	if w := b.Get("/admin/users"); !strings.Contains(w.Body, `class="acting"`) {
		t.Error("the console does not say as whom they act")
	}
}

// What the subject says about support holds in the dialog, which offers to ask them.
func TestDialogAsksForPermission(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	addClient(t, idp, "billing", started)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.PutSupportAccess(ctx, &storage.SupportAccess{UserID: "usr_ada", Mode: storage.SupportDenied, UpdatedAt: storage.At(time.Now())})
	})
	b := inConsole(t, idp, "sam")
	w := askAs(b, "usr_ada", askForm("billing"))
	if w.Status != http.StatusForbidden || w.Element("request-access") == nil {
		t.Fatalf("status %d, %s", w.Status, w.Body)
	}
	w = b.Post("/admin/users/usr_ada/request-access", askForm("billing"))
	if !strings.HasSuffix(w.Location().String(), "done=access_requested") {
		t.Fatalf("asked: %d %s %s", w.Status, w.Location(), w.Body)
	}
	if w = b.Get("/admin/impersonations/requests"); !strings.Contains(w.Body, "Cannot see invoice 4711") {
		t.Errorf("not in the list: %s", w.Body)
	}
	if w = b.Get("/admin/impersonations/denied"); !strings.Contains(w.Body, "have not allowed support") {
		t.Errorf("the refusal is not in the list: %s", w.Body)
	}
	wantStatus(t, "without a reason", b.Post("/admin/users/usr_ada/request-access", askForm("billing", "reason", "")), http.StatusBadRequest)
	if w := person(t, idp, "ada").Get("/account/support-access"); !strings.Contains(w.Body, "Cannot see invoice 4711") {
		t.Errorf("ada is not asked: %s", w.Body)
	}
}
