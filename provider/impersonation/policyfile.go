package impersonation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The file of a policy, which is also how a version is kept.
type policyFile struct {
	Rules []ruleEntry `yaml:"rules"`
}

type ruleEntry struct {
	Name    string       `yaml:"name"`
	Comment string       `yaml:"comment,omitempty"`
	When    string       `yaml:"when"`
	Effect  Effect       `yaml:"effect"`
	Message string       `yaml:"message,omitempty"`
	Oblige  *obligeEntry `yaml:"oblige,omitempty"`
}

type obligeEntry struct {
	SupportAccess bool     `yaml:"require_support_access,omitempty"`
	Approval      bool     `yaml:"require_approval,omitempty"`
	Ticket        bool     `yaml:"require_ticket,omitempty"`
	TicketPattern string   `yaml:"ticket_pattern,omitempty"`
	ReadOnly      bool     `yaml:"read_only,omitempty"`
	MaxDuration   string   `yaml:"max_duration,omitempty"` // 15m
	Scopes        []string `yaml:"scopes,omitempty,flow"`
}

// maxPolicyFile is how long a file may be: more than its rules, for their comments.
const maxPolicyFile = 2 * MaxPolicySize

// ParsePolicy reads the rules of a YAML file. What is wrong with its form is a
// *RuleProblem; what the rules say is for Compile to check.
func ParsePolicy(text []byte) ([]Rule, error) {
	wrong := func(message string) error { return &RuleProblem{Rule: -1, Field: "rules", Text: message} }
	if len(text) > maxPolicyFile {
		return nil, wrong(fmt.Sprintf("the file is longer than %d KiB", maxPolicyFile>>10))
	}
	var f policyFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, wrong(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, wrong("there is more than one document in the file")
	}
	rules := make([]Rule, len(f.Rules))
	for i, e := range f.Rules {
		rules[i] = Rule{Name: e.Name, Comment: e.Comment, When: e.When, Effect: e.Effect, Message: e.Message}
		o := e.Oblige
		if o == nil {
			continue
		}
		rules[i].Oblige = Obligations{
			SupportAccess: o.SupportAccess, Approval: o.Approval, Ticket: o.Ticket, TicketPattern: o.TicketPattern,
			ReadOnly: o.ReadOnly, Scopes: o.Scopes,
		}
		if o.MaxDuration == "" {
			continue
		}
		d, err := time.ParseDuration(o.MaxDuration)
		if err != nil || d == 0 {
			return nil, &RuleProblem{Rule: i, Name: e.Name, Field: "max_duration", Text: "want a duration such as 15m"}
		}
		rules[i].Oblige.MaxDuration = d
	}
	return rules, nil
}

// keptAs writes rules as a version is kept, and makes sure that it reads as what was given:
// rules that were compiled then need not be compiled again.
func keptAs(rules []Rule) (string, error) {
	text, err := FormatPolicy(rules)
	if err != nil {
		return "", err
	}
	read, err := ParsePolicy([]byte(text))
	if err != nil {
		return "", err
	}
	again, err := FormatPolicy(read)
	if err == nil && again != text {
		err = errors.New("the rules do not read as they were written")
	}
	return text, err
}

// FormatPolicy writes rules as ParsePolicy reads them, always in the same way.
func FormatPolicy(rules []Rule) (string, error) {
	f := policyFile{Rules: make([]ruleEntry, len(rules))}
	for i, r := range rules {
		e := ruleEntry{Name: r.Name, Comment: r.Comment, When: r.When, Effect: r.Effect, Message: r.Message}
		if o := r.Oblige; !o.none() {
			e.Oblige = &obligeEntry{
				SupportAccess: o.SupportAccess, Approval: o.Approval, Ticket: o.Ticket, TicketPattern: o.TicketPattern,
				ReadOnly: o.ReadOnly, Scopes: o.Scopes,
			}
			if o.MaxDuration != 0 {
				e.Oblige.MaxDuration = fmt.Sprintf("%dm", int(o.MaxDuration/time.Minute))
			}
		}
		f.Rules[i] = e
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(f), encoder.Close())
	return b.String(), err
}
