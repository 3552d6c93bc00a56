package handlers

import "net/http"

// register adds the client that registers itself (RFC 7591).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	client, err := s.provider.RegisterClient(r, s.info(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, client)
	return nil
}

// registration tells a client what is registered of it (RFC 7592).
func (s *Server) registration(w http.ResponseWriter, r *http.Request) error {
	client, err := s.provider.ReadClient(r, r.PathValue("client"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, client)
	return nil
}

// replaceRegistration gives a client other metadata.
func (s *Server) replaceRegistration(w http.ResponseWriter, r *http.Request) error {
	client, err := s.provider.ReplaceClient(r, r.PathValue("client"), s.info(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, client)
	return nil
}

// endRegistration removes a client.
func (s *Server) endRegistration(w http.ResponseWriter, r *http.Request) error {
	if err := s.provider.DeleteClient(r, r.PathValue("client"), s.info(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
