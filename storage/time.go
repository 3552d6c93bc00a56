package storage

import "time"

// Time is a moment in microseconds since the Unix epoch, UTC. Zero means never.
type Time int64

// At converts t, dropping what is finer than a microsecond. A zero t is never.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Time converts t; never becomes the zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// Set reports whether t is a moment, not never.
func (t Time) Set() bool { return t != 0 }

// Passed reports whether t is a moment at or before now.
func (t Time) Passed(now time.Time) bool { return t != 0 && int64(t) <= now.UnixMicro() }
