package clients_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// allow and deny answer the consent page as oneself.
var (
	allow = url.Values{"continue_as": {"me"}, "action": {"allow"}}
	deny  = url.Values{"continue_as": {"me"}, "action": {"deny"}}
	asAda = idptest.Wish("usr_ada", nil)
)

// stories are played with each program, in this order.
var stories = []struct {
	name string
	play func(v *visitor)
}{
	{"login", func(v *visitor) {
		v.signedIn(v.login("ada", nil, allow))
		if v.posted {
			v.t.Error("the answer came by form_post")
		}
	}},
	{"login with form_post", func(v *visitor) {
		v.signedIn(v.login("ada", url.Values{"response_mode": {"form_post"}}, allow))
		if !v.posted {
			v.t.Error("the answer did not come by form_post")
		}
	}},
	{"userinfo", func(v *visitor) {
		w := v.login("ada", nil, allow)
		if w.Userinfo["email"] != "ada@example.test" || w.Userinfo["name"] != "ada" {
			v.t.Errorf("userinfo %v", w.Userinfo)
		}
		w = v.login("ada", url.Values{"scope": {"openid"}}, allow)
		if w.Userinfo["sub"] != "usr_ada" || w.Userinfo["email"] != nil || w.Refreshable {
			v.t.Errorf("with scope openid: %+v", w)
		}
	}},
	{"refresh", func(v *visitor) {
		before := v.login("ada", nil, allow)
		for range 2 { // the second with what the first brought
			w := v.refresh()
			v.signedIn(w)
			if w.Claims["auth_time"] != before.Claims["auth_time"] || w.Claims["sid"] != before.Claims["sid"] {
				v.t.Errorf("refreshed: %v, before: %v", w.Claims, before.Claims)
			}
		}
	}},
	{"logout", func(v *visitor) {
		v.signedIn(v.login("ada", nil, allow))
		v.logout()
		v.refused(v.me(), "not_signed_in")
		v.refused(v.login("", url.Values{"prompt": {"none"}}, nil), "login_required")
	}},
	{"impersonated login", func(v *visitor) {
		if w := v.login("sam", nil, allow); w.Claims["sub"] != "usr_sam" || w.Act != nil || w.Userinfo["act"] != nil {
			v.t.Errorf("sam as himself: %+v", w)
		}
		id := v.acting(v.login("sam", url.Values{"prompt": {"select_account"}}, asAda))
		v.acting(v.me())
		v.refused(v.refresh(), "no_refresh_token")
		v.logout()
		i, err := v.idp.Store.Impersonation(v.t.Context(), id)
		if err != nil || i.EndReason != storage.EndStopped {
			v.t.Errorf("after logout: ended because %q, %v", i.EndReason, err)
		}
		if w := v.login("", url.Values{"prompt": {"none"}}, nil); w.Claims["sub"] != "usr_sam" || w.Act != nil {
			v.t.Errorf("after logout sam is not himself: %+v", w)
		}
	}},
	{"impersonated login with form_post", func(v *visitor) {
		v.acting(v.login("sam", url.Values{"response_mode": {"form_post"}}, asAda))
		if !v.posted {
			v.t.Error("the answer did not come by form_post")
		}
	}},
	{"impersonated refresh", func(v *visitor) {
		v.idp.Change(v.t, v.client, func(c *storage.Client) { c.ImpersonationRefresh = true })
		defer v.idp.Change(v.t, v.client, func(c *storage.Client) { c.ImpersonationRefresh = false })
		v.login("sam", nil, asAda)
		for range 2 {
			w := v.refresh()
			if w.Status != http.StatusOK || w.Claims["sub"] != "usr_ada" || w.Act["sub"] != "usr_sam" || w.Userinfo["sub"] != "usr_ada" {
				v.t.Errorf("refreshed: %+v", w)
			}
		}
	}},
	{"impersonation stopped elsewhere", func(v *visitor) {
		v.acting(v.login("sam", nil, asAda))
		stop, _ := v.me().Impersonation["stop_uri"].(string)
		page := v.get(stop)
		if page.Element("stop-form") == nil {
			v.t.Fatalf("%s: status %d: %.300s", stop, page.Status, page.Body)
		}
		v.submit(page.Element("stop-form"), nil)
		if w := v.me(); w.Status != http.StatusBadRequest || w.Error == "" {
			v.t.Errorf("userinfo still answers: %+v", w)
		}
	}},
	{"denied", func(v *visitor) {
		v.refused(v.login("ada", url.Values{"prompt": {"consent"}}, deny), "access_denied")
		v.refused(v.login("ada", url.Values{"prompt": {"consent"}, "response_mode": {"form_post"}}, deny), "access_denied")
		if !v.posted {
			v.t.Error("the error did not come by form_post")
		}
	}},
	{"nobody signed in and prompt=none", func(v *visitor) {
		v.refused(v.login("", url.Values{"prompt": {"none"}}, nil), "login_required")
	}},
	{"answers that are not ours", func(v *visitor) {
		v.login("ada", nil, allow) // she is not asked again
		for name, change := range forged {
			v.t.Run(name, func(t *testing.T) { v.forge(t, change) })
		}
	}},
}

// forged changes a good answer into one that the libraries must refuse.
var forged = map[string]func(url.Values){
	"another state":     func(q url.Values) { q.Set("state", "another-state") },
	"no state":          func(q url.Values) { q.Del("state") },
	"another iss":       func(q url.Values) { q.Set("iss", "https://evil.example") },
	"no iss":            func(q url.Values) { q.Del("iss") },
	"another code":      func(q url.Values) { q.Set("code", "uc_another") },
	"an error and code": func(q url.Values) { q.Set("error", "server_error") },
}

// forge signs in, and changes the answer on its way.
func (v *visitor) forge(t *testing.T, change func(url.Values)) {
	fresh := *v
	v = &fresh
	v.t, v.browser, v.catch = t, nil, true
	v.through(v.get(v.app+"/login"), "ada", allow)
	to := *v.at
	q := to.Query()
	if q.Get("code") == "" {
		t.Fatalf("no answer: at %s", v.at)
	}
	change(q)
	to.RawQuery = q.Encode()
	if w := v.read(v.get(to.String())); w.Status != http.StatusBadRequest || w.Error == "" {
		t.Errorf("got %+v, want a refusal", w)
	}
	v.refused(v.me(), "not_signed_in")
}

// signedIn checks that Ada is, as herself.
func (v *visitor) signedIn(w told) {
	v.t.Helper()
	switch {
	case w.Status != http.StatusOK || w.Claims["iss"] != v.issuer || w.Claims["aud"] != v.client:
		v.t.Errorf("status %d, %s, ID token %v", w.Status, w.Error, w.Claims)
	case w.Claims["sub"] != "usr_ada" || w.Userinfo["sub"] != "usr_ada" || w.Act != nil || w.Userinfo["act"] != nil || !w.Refreshable:
		v.t.Errorf("ID token %v, userinfo %v, refreshable: %v", w.Claims, w.Userinfo, w.Refreshable)
	}
}

// acting checks that Sam is signed in as Ada, without a refresh token, and returns
// the impersonation's id.
func (v *visitor) acting(w told) string {
	v.t.Helper()
	act, _ := w.Userinfo["act"].(map[string]any)
	if w.Status != http.StatusOK || w.Claims["sub"] != "usr_ada" || w.Act["sub"] != "usr_sam" ||
		w.Userinfo["sub"] != "usr_ada" || act["sub"] != "usr_sam" || w.Refreshable {
		v.t.Errorf("sam as ada: %+v", w)
	}
	id, _ := w.Claims["sid"].(string)
	if w.Impersonation["id"] != id || w.Impersonator["email"] != "sam@example.test" {
		v.t.Errorf("sid %q, impersonation %v, impersonator %v", id, w.Impersonation, w.Impersonator)
	}
	return id
}

// refused checks that the program got an error, or found one, and what it is.
func (v *visitor) refused(w told, code string) {
	v.t.Helper()
	if w.Status != http.StatusBadRequest || w.Error != code {
		v.t.Errorf("got status %d and error %q, want 400 and %q (at %s)", w.Status, w.Error, code, v.at)
	}
}
