package handlers

import (
	"net/http"
	"slices"

	"github.com/understudy-id/understudy/storage"
)

// workosUserIs shows a user.
func (s *Server) workosUserIs(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	u, err := s.dialectUser(r, call, r.PathValue("user"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, workosUserShown(u, true, true))
	return nil
}

// workosUsers lists users, the latest first unless a request says otherwise.
func (s *Server) workosUsers(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, "email", "organization_id", "limit", "after", "before", "order")
	if err != nil {
		return err
	}
	order, back := q.Get("order"), q.Has("before")
	if order != "" && order != "asc" && order != "desc" {
		return invalidField("order", "want asc or desc")
	}
	if back && q.Has("after") {
		return invalidField("before", "not with after")
	}
	sel := storage.UserSelection{Emails: q["email"], Organizations: q["organization_id"], Order: "created_at", Descending: (order != "asc") != back}
	if sel.Limit, err = numberIn(q, "limit", 1, 100, 10); err != nil {
		return err
	}
	for _, place := range append(q["after"], q["before"]...) {
		u, err := s.dialectUser(r, call, place)
		if err != nil {
			return invalidField("after", "before and after are ids of users").because(err)
		}
		sel.Beyond = &storage.Mark{Time: u.CreatedAt, ID: u.ID}
	}
	limit := sel.Limit
	sel.Limit++
	users, err := s.selectUsers(r, call, sel)
	if err != nil {
		return err
	}
	more := len(users) > limit
	users = users[:min(len(users), limit)]
	if back {
		slices.Reverse(users)
	}
	list := workosUserList{Object: "list", Data: []workosUser{}}
	for i := range users {
		list.Data = append(list.Data, workosUserShown(&users[i], true, true))
	}
	if n := len(users); n > 0 {
		if more && back || !back && sel.Beyond != nil {
			list.Metadata.Before = &users[0].ID
		}
		if more && !back || back {
			list.Metadata.After = &users[n-1].ID
		}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

type workosUserList struct {
	Object   string       `json:"object"`
	Data     []workosUser `json:"data"`
	Metadata struct {
		Before *string `json:"before"`
		After  *string `json:"after"`
	} `json:"list_metadata"`
}
