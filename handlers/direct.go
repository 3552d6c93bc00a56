package handlers

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/provider"
)

// token is the token endpoint. What a grant type does is its handler's business.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	answer, err := s.provider.Token(r, s.info(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// push takes an authorization request ahead of its browser (RFC 9126).
func (s *Server) push(w http.ResponseWriter, r *http.Request) error {
	pushed, err := s.provider.Push(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, pushed)
	return nil
}

// introspect tells a client about a token (RFC 7662).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	answer, err := s.provider.Introspect(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// revoke ends a token (RFC 7009).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	if err := s.provider.Revoke(r, s.info(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// userinfo returns the claims of the user behind an access token.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	claims, signed, err := s.provider.Userinfo(r)
	if err != nil {
		return err
	}
	if signed != "" {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = io.WriteString(w, signed) //nolint:gosec // a JWT of ours; whoever asked may have left
		return nil
	}
	writeJSON(w, http.StatusOK, claims)
	return nil
}

// metadata is the discovery document.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	document, etag := s.provider.Metadata()
	answerDocument(w, r, document, etag, "application/json", "public, max-age=3600")
	return nil
}

// keySet is the JSON Web Key Set. It may be cached for less time than a key is
// published before it signs.
func (s *Server) keySet(w http.ResponseWriter, r *http.Request) error {
	return s.keySetAs(w, r, "application/jwk-set+json")
}

func (s *Server) keySetAs(w http.ResponseWriter, r *http.Request, contentType string) error {
	set, etag := s.provider.Keys.Set()
	answerDocument(w, r, set, etag, contentType, "public, max-age=900")
	return nil
}

// staffBar is a script that pages of every origin may load, those too that let in
// only what says so (Cross-Origin-Embedder-Policy). Its entity tag is its integrity value.
func (s *Server) staffBar(w http.ResponseWriter, r *http.Request) error {
	script, integrity := s.pages.StaffBar()
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	answerDocument(w, r, script, `"`+integrity+`"`, "text/javascript; charset=utf-8", "public, max-age=3600")
	return nil
}

// answerDocument answers with something public that was made before, or says that
// the asker has it already.
func answerDocument(w http.ResponseWriter, r *http.Request, document []byte, etag, contentType, caching string) {
	h := w.Header()
	h.Set("Cache-Control", caching)
	h.Set("ETag", etag)
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(document))) // HEAD says it, too
	_, _ = w.Write(document)                             // whoever asked may have left
}

// matches compares the entity tags of If-None-Match with ours, weakly (RFC 9110
// section 13.1.2): proxies that compress make a strong one weak. Ours has no comma.
func matches(given []string, etag string) bool {
	for _, line := range given {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// postOnly refuses to take a secret from an address, where logs would keep it
// (SECURITY F02).
func (s *Server) postOnly(http.ResponseWriter, *http.Request) error { return provider.ErrPostOnly }
