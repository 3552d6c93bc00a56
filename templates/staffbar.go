package templates

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
)

// staffBar is a script for pages of applications, and what they may hold it against.
type staffBar struct {
	script    []byte
	integrity string
}

// StaffBar returns the web component that applications show while somebody acts as
// one of their users, and its value for the integrity attribute of a script element.
// docs/staff-bar.md is its documentation.
func (s *Set) StaffBar() (script []byte, integrity string) {
	return s.staffBar.script, s.staffBar.integrity
}

func newStaffBar() (staffBar, error) {
	source, err := staticFiles.ReadFile("static/staff-bar.js")
	if err != nil {
		return staffBar{}, err
	}
	script := withoutMargins(source)
	sum := sha512.Sum384(script)
	return staffBar{script, "sha384-" + base64.StdEncoding.EncodeToString(sum[:])}, nil
}

// withoutMargins leaves out indentation, empty lines and lines of comment, a fifth of
// a script. What is left is as legible as before.
func withoutMargins(source []byte) []byte {
	var script bytes.Buffer
	for line := range bytes.Lines(source) {
		line = bytes.TrimLeft(line, " \t\n")
		if !bytes.HasPrefix(line, []byte("//")) {
			script.Write(line)
		}
	}
	return script.Bytes()
}
