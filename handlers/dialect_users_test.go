package handlers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// namesOf are the names of users in an answer, at whatever member they have their ids,
// and how many there are said to be: -1 where that is not said.
func namesOf(t *testing.T, w *idptest.Response) (names string, total int) {
	t.Helper()
	var list struct {
		Users, Data []object
		Total       *int
	}
	if strings.HasPrefix(w.Body, "[") {
		check(t, json.Unmarshal([]byte(w.Body), &list.Users))
	} else {
		check(t, json.Unmarshal([]byte(w.Body), &list))
	}
	var all []string
	for _, u := range append(list.Users, list.Data...) {
		for _, name := range []string{"user_id", "userId", "id"} {
			if id, ok := u[name].(string); ok {
				all = append(all, strings.TrimPrefix(id, "usr_"))
				break
			}
		}
	}
	if total = -1; list.Total != nil {
		total = *list.Total
	}
	return strings.Join(all, " "), total
}

// F08: other vendors' calls find the users whom the key reaches, and a filter that is not
// had is refused and not forgotten.
func TestDialectUsers(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("clerk", "workos", "descope", "auth0")}), func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			u, err := tx.User(ctx, "usr_linus")
			if err != nil {
				return err
			}
			u.PreferredUsername = "torvalds"
			return tx.UpdateUser(ctx, u, time.Now())
		})
		local := "org_initech"
		key, own := keyFor(t, idp, "app", "users:read"), "app"
		near := idp.MakeKey(t, storage.APIKey{ClientID: &own, OrganizationID: &local, Permissions: storage.List{"users:read"}})
		search := func(pairs ...any) spoken {
			c := spoken{http.MethodPost, "/v2/mgmt/user/search", "", object{}}
			setBody(pairs...)(&c)
			return c
		}
		get := func(path string) spoken { return spoken{http.MethodGet, path, "", nil} }
		as := func(c spoken, key string) *idptest.Response {
			if c.bearer = key; strings.Contains(c.path, "/mgmt/") {
				c.bearer = "app:" + key
			}
			return say(t, idp, c)
		}
		q := url.QueryEscape
		for _, row := range []struct {
			name        string
			call        spoken
			found, here string // by a key of everywhere, and by one of an organization
			total       int
		}{
			{"auth0: all, by e-mail address", get("/api/v2/users?sort=email:1&include_totals=true&per_page=2&page=1"), "linus olga", "", 6},
			{"auth0: by when", get("/api/v2/users?sort=email:-1&per_page=2"), "sam root", "linus grace", -1},
			{"auth0: by an address", get("/api/v2/users?search_engine=v3&q=" + q(`email:"LINUS@example.test"`)), "linus", "linus", -1},
			{"auth0: by an address without quotes", get("/api/v2/users?q=email:ada@example.test"), "ada", "", -1},
			{"auth0: by id", get("/api/v2/users?q=" + q(`user_id:"usr_ada"`)), "ada", "", -1},
			{"auth0: by name", get("/api/v2/users?q=username:torvalds"), "linus", "linus", -1},
			{"auth0: by a word", get("/api/v2/users?q=race"), "grace", "grace", -1},
			{"auth0: by a part", get("/api/v2/users?q=" + q("name:*inu*")), "linus", "linus", -1},
			{"auth0: the one who has an address", get("/api/v2/users-by-email?email=ada@example.test&fields=user_id"), "ada", "", -1},
			{"auth0: nobody has it", get("/api/v2/users-by-email?email=da@example.test"), "", "", -1},
			{"workos: the first of all", get("/user_management/users?order=asc&limit=3"), "", "", -1},
			{"workos: by an address", get("/user_management/users?email=LINUS@example.test"), "linus", "linus", -1},
			{"workos: of an organization", get("/user_management/users?organization_id=org_initech&email=linus@example.test"), "linus", "linus", -1},
			{"descope: all", search("sort", []object{{"field": "email", "desc": true}}, "limit", 2, "page", 1, "withTestUser", false, "roleNames", []string{}, "testUsersOnly", false), "olga linus", "", 6},
			{"descope: by login ids", search("loginIds", []string{"ada@example.test"}), "ada", "", 1},
			{"descope: by ids", search("userIds", []string{"usr_ada", "usr_linus"}, "sort", []object{{"field": "userId"}}), "ada linus", "linus", 2},
			{"descope: by addresses", search("emails", []string{"ada@example.test"}), "ada", "", 1},
			{"descope: of a tenant", search("tenantIds", []string{"org_initech"}, "sort", []object{{"field": "email"}}), "grace linus", "grace linus", 2},
			{"descope: by a word", search("text", "linu"), "linus", "linus", 1},
			{"descope: by status", search("statuses", []string{"disabled"}), "", "", 0},
			{"descope: by when", search("toCreatedTime", 1000), "", "", 0},
			{"descope: loaded together", spoken{http.MethodPost, "/v1/mgmt/users/load", "", object{"userIds": []string{"usr_ada"}}}, "ada", "", -1},
		} {
			w := as(row.call, key)
			wantStatus(t, row.name, w, http.StatusOK)
			if strings.HasSuffix(row.name, "of all") { // made at one time, so by id
				w.Body = `[]`
			}
			if found, total := namesOf(t, w); found != row.found || total != row.total {
				t.Errorf("%s: %q of %d, want %q of %d", row.name, found, total, row.found, row.total)
			}
			if found, _ := namesOf(t, as(row.call, near)); found != row.here && row.here+row.found != "" {
				t.Errorf("F08: %s: of one organization %q, want %q", row.name, found, row.here)
			}
			wantStatus(t, row.name+", with a key that may not", as(row.call, keyFor(t, idp, "app", "impersonation:start")), http.StatusForbidden)
			wantStatus(t, row.name+", without one", as(row.call, ""), http.StatusUnauthorized)
		}

		for _, path := range []string{"/api/v2/users/%s", "/user_management/users/%s", "/v1/users/%s", "/v1/mgmt/user?userId=%s", "/v1/mgmt/user?loginId=%s"} {
			to := func(id string) spoken { return get(strings.Replace(path, "%s", id, 1)) }
			w := as(to("usr_linus"), near)
			wantStatus(t, path, w, http.StatusOK)
			if !strings.Contains(w.Body, "linus@example.test") || strings.Contains(w.Body, "argon2") {
				t.Errorf("%s: %s", path, w.Body)
			}
			wantStatus(t, "F08: "+path, as(to("usr_ada"), near), http.StatusNotFound)
			wantStatus(t, "nobody: "+path, as(to("usr_nobody"), key), http.StatusNotFound)
			if w := as(to("%00"), key); w.Status != http.StatusNotFound && w.Status != http.StatusBadRequest {
				t.Errorf("F09: %s: %d", path, w.Status)
			}
		}
		if w := as(get("/v1/mgmt/user?loginId=GRACE@example.test"), near); !strings.Contains(w.Body, "org_initech") || strings.Contains(w.Body, "org_globex") {
			t.Errorf("F08: a tenant of elsewhere: %s", w.Body)
		}
		if u := as(get("/api/v2/users/usr_ada?fields=email,name&include_fields=false"), key).JSON(t); u["email"] != nil || u["name"] != nil || u["user_id"] != "usr_ada" {
			t.Errorf("without some members: %v", u)
		}

		for dialect, calls := range map[string][]spoken{
			"auth0": {
				get("/api/v2/users?connection=db"), get("/api/v2/users?from=x"), get("/api/v2/users?q=" + q(`email:"a" OR name:"b"`)), get("/api/v2/users?q=app_metadata.plan:gold"), get("/api/v2/users?q=email:*"),
				get("/api/v2/users?per_page=101"), get("/api/v2/users?page=-1"), get("/api/v2/users?sort=password:1"), get("/api/v2/users?sort=email"), get("/api/v2/users?q=%00"), get("/api/v2/users?q=a&q=b"), get("/api/v2/users?%zz"),
				get("/api/v2/users-by-email"), get("/api/v2/users-by-email?email=a&connection=db"), get("/api/v2/users/usr_ada?x=1"),
			},
			"workos": {
				get("/user_management/users?external_id=1"), get("/user_management/users?limit=0"), get("/user_management/users?order=x"), get("/user_management/users?after=usr_nobody"),
				get("/user_management/users?after=usr_ada&before=usr_ada"), get("/user_management/users?email=a&email=b"), get("/user_management/users?email=%ff"),
			},
			"descope": {
				search("roleNames", []string{"admin"}), search("verifiedEmail", false), search("phones", []string{"1"}), search("customAttributes", object{"a": 1}), search("limit", 1001), search("page", -1),
				search("sort", []object{{"field": "password"}}), search("statuses", []string{"invited"}), search("loginIds", []string{"usr_ada", "ada@example.test"}), search("loginIds", []string{"a"}, "userIds", []string{"b"}),
				search("text", "\x00"), search("userIds", "usr_ada"), search("fromCreatedTime", -1), search("sort", []object{{"field": "email"}, {"field": "name"}}),
				{http.MethodPost, "/v1/mgmt/users/load", "", object{"userIds": []string{}}},
				{http.MethodPost, "/v1/mgmt/users/load", "", object{"userIds": []string{"\x00"}}},
				get("/v1/mgmt/user?loginId=a&identifier=b"),
			},
		} {
			for _, c := range calls {
				w := as(c, key)
				body, _ := json.Marshal(c.body)
				wantStatus(t, "F09: "+c.path+" "+string(body), w, http.StatusBadRequest)
				vendorsError(t, c.path, dialect, w)
			}
		}
		for _, c := range []spoken{
			get("/user_management/users?organization_id=org_globex"), search("tenantIds", []string{"org_globex"}), search("tenantIds", []string{"org_initech", "org_globex"}),
			get("/v1/users?organization_id=-org_globex"), get("/v1/users/count?organization_id=-org_globex"),
		} {
			wantStatus(t, "F08: who belongs to another as well: "+c.path, as(c, near), http.StatusNotFound)
		}
		wantStatus(t, "F08: a place that is out of reach", as(get("/user_management/users?after=usr_ada"), near), http.StatusBadRequest)
	})
}

// WorkOS's lists are read on and back by the ids of users, each once.
func TestWorkOSPages(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("workos")}), func(t *testing.T, idp *idptest.IDP) {
		key := keyFor(t, idp, "app", "users:read")
		for _, order := range []string{"asc", "desc"} {
			list := func(more string) (ids []string, before, after any) {
				w := say(t, idp, spoken{http.MethodGet, "/user_management/users?limit=4&order=" + order + more, key, nil})
				wantStatus(t, more, w, http.StatusOK)
				for _, u := range w.JSON(t)["data"].([]any) {
					ids = append(ids, u.(object)["id"].(string))
				}
				place := w.JSON(t)["list_metadata"].(object)
				return ids, place["before"], place["after"]
			}
			first, before, after := list("")
			if before != nil || len(first) != 4 || after != first[3] {
				t.Fatalf("%s: the first page: %v, %v, %v", order, first, before, after)
			}
			second, before, after := list("&after=" + first[3])
			if after != nil || len(second) != 2 || before != second[0] {
				t.Errorf("%s: the second page: %v, %v, %v", order, second, before, after)
			}
			back, before, after := list("&before=" + second[0])
			if strings.Join(back, " ") != strings.Join(first, " ") || before != nil || after != back[3] {
				t.Errorf("%s: back: %v, %v, %v", order, back, before, after)
			}
		}
	})
}
