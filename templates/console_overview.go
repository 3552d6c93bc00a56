package templates

import (
	"net/http"
	"time"
)

// OverviewPage is the first page of the console. What the person may not see is empty.
type OverviewPage struct {
	Page
	Figures     []Figure
	Badge       *Badge
	ShowRunning bool
	Running     []RunningRow
	Waiting     int // for the person's approval
	WaitingURL  string
	Steps       []ChecklistStep
	Warnings    []Warning
	Now         time.Time
}

// Figure is a number and where it comes from.
type Figure struct {
	Label, URL string
	Value      int64
}

// RunningRow is somebody who acts as somebody else now.
type RunningRow struct {
	ID, ActorName, SubjectName, ClientName, Reason string
	EventsURL                                      string // what it has led to; empty: not to be seen
	EndsAt, Now                                    time.Time
	MayStop                                        bool
}

// Warning is one thing that is wrong, and what to do about it.
type Warning struct {
	Check, Detail, Advice string
	Bad                   bool // it does not work, or is not safe
}

// Overview posts id to /impersonation/stop.
func (s *Set) Overview(w http.ResponseWriter, status int, p OverviewPage) error {
	return s.render(w, status, "console/overview", p)
}
