package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// sessionStore is gorilla's Store over the database: the cookie holds a random
// reference, the row says whose session it is.
type sessionStore struct{ s *Server }

var _ sessions.Store = (*sessionStore)(nil)

func newSessionStore(s *Server) *sessionStore { return &sessionStore{s} }

// loginValue is where a gorilla session holds its *storage.Login.
const loginValue = "login"

// touchEvery is how exact the time of last use is kept.
const touchEvery = time.Minute

// Get returns the request's session, read once a request.
func (st *sessionStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(st, name)
}

// New reads the session that the cookie refers to, or returns an empty one.
func (st *sessionStore) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(st, name)
	session.IsNew = true
	id := st.s.cookie(r, "")
	if id == "" {
		return session, nil
	}
	now := time.Now()
	l, err := st.s.store.Login(r.Context(), storage.Hash(id), now)
	if errors.Is(err, storage.ErrNotFound) {
		return session, nil
	}
	if err != nil {
		return session, err
	}
	session.ID, session.IsNew = id, false
	session.Values[loginValue] = l
	if now.Sub(l.LastSeenAt.Time()) > min(touchEvery, st.s.config.SessionIdle/10) {
		err := st.s.store.Write(r.Context(), func(tx *storage.Tx) error {
			return tx.TouchLoginSession(r.Context(), l.IDHash, now, now.Add(st.s.config.SessionIdle))
		})
		if err != nil { // the session stands; it was only used
			st.s.log.WarnContext(r.Context(), "last use not noted", "request_id", requestID(r.Context()), "cause", err.Error())
		}
	}
	return session, nil
}

// Save gives a session a new id (SECURITY D01): a new row, or in place of the one
// it had. A session without a login is removed from the browser.
func (st *sessionStore) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	l, _ := session.Values[loginValue].(*storage.Login)
	if l == nil {
		st.s.setCookie(w, "", "", -time.Second)
		return nil
	}
	now, info, old := time.Now(), st.s.info(r), l.IDHash
	id := provider.NewSecret("us_")
	l.IDHash = storage.Hash(id)
	again := session.ID != ""
	put := func(tx *storage.Tx) error {
		if err := tx.NoteSignIn(r.Context(), &l.User, now); errors.Is(err, storage.ErrNotFound) {
			return provider.ErrCredentials // it was changed since it was checked (SECURITY D06)
		} else if err != nil {
			return err
		}
		if again {
			return tx.RenewLoginSession(r.Context(), old, &l.LoginSession)
		}
		return tx.CreateLoginSession(r.Context(), &l.LoginSession)
	}
	err := st.s.store.Write(r.Context(), func(tx *storage.Tx) error {
		if err := put(tx); err != nil {
			return err
		}
		return tx.Record(r.Context(), storage.Event{
			Type: storage.EventSessionCreated, ActorID: l.User.ID, SubjectID: l.User.ID,
			Data: storage.Data{"sid": l.SID, "reauthenticated": again, "amr": []string(l.AMR)},
		}, storage.Private{}, info, now)
	})
	if errors.Is(err, storage.ErrRecord) { // people go on working; nobody acts as them (SECURITY A23)
		st.s.log.ErrorContext(r.Context(), "a sign-in is not on the record", "request_id", info.ID, "cause", err.Error())
		err = st.s.store.Write(r.Context(), put)
	}
	if err != nil {
		return err
	}
	session.ID = id
	st.s.setCookie(w, "", id, st.s.config.SessionLifetime)
	return nil
}

// login returns who is signed in, nil for nobody.
func (s *Server) currentLogin(r *http.Request) (*storage.Login, error) {
	session, err := s.sessions.Get(r, s.config.CookieName)
	if err != nil {
		return nil, err
	}
	l, _ := session.Values[loginValue].(*storage.Login)
	return l, nil
}

// signIn makes the browser's session one of u, who has just shown a password. The
// same person again keeps the session under a new id; anybody else's ends.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, u *storage.User) error {
	session, err := s.sessions.Get(r, s.config.CookieName)
	if err != nil {
		return err
	}
	now := time.Now()
	l, _ := session.Values[loginValue].(*storage.Login)
	if l != nil && l.User.ID != u.ID {
		if err := s.provider.SignOut(r.Context(), l, s.info(r)); err != nil && !errors.Is(err, storage.ErrSpent) {
			return err
		}
		l, session.ID = nil, ""
	}
	if l == nil {
		l = &storage.Login{LoginSession: storage.LoginSession{
			SID: storage.NewID("sid"), UserID: u.ID, CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(s.config.SessionLifetime)),
		}}
	}
	info := s.info(r)
	l.User = *u
	l.AuthTime, l.AMR = storage.At(now), storage.List{"pwd"}
	l.IP, l.UserAgent = info.IP, info.UserAgent
	l.ConsoleHash, l.ConsoleIdleExpiresAt = nil, 0 // it opens anew, under another id (SECURITY D01)
	l.LastSeenAt, l.IdleExpiresAt = storage.At(now), storage.At(now.Add(s.config.SessionIdle))
	session.Values[loginValue] = l
	return s.sessions.Save(r, w, session)
}

// signOut ends the browser's session.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	session, err := s.sessions.Get(r, s.config.CookieName)
	if err != nil {
		return err
	}
	if l, _ := session.Values[loginValue].(*storage.Login); l != nil {
		if err := s.provider.SignOut(r.Context(), l, s.info(r)); err != nil && !errors.Is(err, storage.ErrSpent) {
			return err
		}
	}
	delete(session.Values, loginValue)
	return s.sessions.Save(r, w, session)
}

// browserCookie holds the reference that binds interactions to one browser
// (SECURITY D02).
const browserCookie = "_browser"

// browser returns the hash of the browser's reference, setting one if need be.
func (s *Server) browser(w http.ResponseWriter, r *http.Request) []byte {
	ref := s.cookie(r, browserCookie)
	if len(ref) < 40 {
		ref = provider.NewSecret("ub_")
		s.setCookie(w, browserCookie, ref, 30*24*time.Hour)
	}
	return storage.Hash(ref)
}
