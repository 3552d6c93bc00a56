package handlers

import "net/http"

// workosSession is a session in WorkOS's words.
type workosSession struct {
	Object         string              `json:"object"`
	ID             string              `json:"id"`
	UserID         string              `json:"user_id"`
	OrganizationID *string             `json:"organization_id"`
	Impersonator   *workosImpersonator `json:"impersonator,omitempty"`
	AuthMethod     string              `json:"auth_method"`
	Status         string              `json:"status"`
	IPAddress      *string             `json:"ip_address"`
	UserAgent      *string             `json:"user_agent"`
	ExpiresAt      *string             `json:"expires_at"`
	EndedAt        *string             `json:"ended_at"`
	CreatedAt      string              `json:"created_at"`
	UpdatedAt      string              `json:"updated_at"`
}

type workosImpersonator struct {
	Email  string  `json:"email"`
	Reason *string `json:"reason"`
}

// impersonators are who acts, and why, by the impersonations of sessions: in WorkOS's
// words also the end of one says so. With us its beginning does.
func (s *Server) impersonators(r *http.Request, ids []string) (map[string]*workosImpersonator, error) {
	begun, err := s.store.SessionsBegun(r.Context(), ids)
	who := map[string]*workosImpersonator{}
	for _, e := range begun {
		private := privateOf(&e)
		who[e.ImpersonationID] = &workosImpersonator{private.ActorEmail, unlessEmpty(private.Reason)}
	}
	return who, err
}

// workosSessions lists the live sessions of a user, all of them at once.
func (s *Server) workosSessions(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, "limit", "order", "after", "before")
	if err != nil {
		return err
	}
	if q.Has("after") || q.Has("before") {
		return invalidField("after", "there is one page, which has all")
	}
	found, err := s.sessionsOf(r, call, r.PathValue("user"))
	if err != nil {
		return err
	}
	var ids []string
	for _, f := range found {
		if f.acting != nil {
			ids = append(ids, f.acting.ID)
		}
	}
	impersonators, err := s.impersonators(r, ids)
	if err != nil {
		return err
	}
	list := workosSessionList{Object: "list", Data: []workosSession{}}
	for _, f := range found {
		list.Data = append(list.Data, workosSessionOf(f, impersonators))
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

type workosSessionList struct {
	Object   string          `json:"object"`
	Data     []workosSession `json:"data"`
	Metadata struct {
		Before *string `json:"before"`
		After  *string `json:"after"`
	} `json:"list_metadata"`
}

// workosSessionOf is a live session in WorkOS's words.
func workosSessionOf(s dialectSession, impersonators map[string]*workosImpersonator) workosSession {
	if l := s.login; l != nil {
		return workosSession{
			Object: "session", ID: l.SID, UserID: l.UserID, AuthMethod: "password", Status: "active", IPAddress: unlessEmpty(l.IP), UserAgent: unlessEmpty(l.UserAgent),
			ExpiresAt: isoTime(l.ExpiresAt), CreatedAt: workosTime(l.CreatedAt.Time()), UpdatedAt: workosTime(l.LastSeenAt.Time()),
		}
	}
	i := s.acting
	return workosSession{
		Object: "session", ID: i.ID, UserID: i.SubjectID, OrganizationID: unlessEmpty(i.OrganizationID), Impersonator: impersonators[i.ID],
		AuthMethod: "impersonation", Status: "active", IPAddress: unlessEmpty(i.IP), ExpiresAt: isoTime(i.ExpiresAt),
		CreatedAt: workosTime(i.StartedAt.Time()), UpdatedAt: workosTime(i.StartedAt.Time()),
	}
}

// workosEndSession ends a session.
func (s *Server) workosEndSession(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		ID string `json:"session_id"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	if _, err := s.revokeSession(r, call, q.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}
