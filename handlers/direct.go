package handlers

import (
	"io"
	"net/http"

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
func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.provider.Metadata()) // whoever asked may have left
	return nil
}

// keySet is the JSON Web Key Set. It may be cached for less time than a key is
// published before it signs.
func (s *Server) keySet(w http.ResponseWriter, r *http.Request) error {
	set, etag := s.provider.Keys.Set()
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=900")
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(set) // whoever asked may have left
	return nil
}

// postOnly refuses to take a secret from an address, where logs would keep it
// (SECURITY F02).
func (s *Server) postOnly(http.ResponseWriter, *http.Request) error { return provider.ErrPostOnly }
