package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

func newPolicyCmd() *cobra.Command {
	return group("policy", "Rules about who may act as whom", newPolicyTestCmd(), newPolicyShowCmd(), newPolicySetCmd(), newPolicyHistoryCmd())
}

// withPolicy runs what a command does with the service that decides.
func withPolicy(cmd *cobra.Command, run func(context.Context, *storage.Store, *impersonation.Service) error) error {
	return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
		settings, err := providerConfig(c)
		if err != nil {
			return err
		}
		return run(ctx, store, impersonation.New(store, settings.Impersonation))
	})
}

// readPolicy reads the rules of a file, and checks them.
func readPolicy(cmd *cobra.Command, name string) (*impersonation.Policy, error) {
	text, err := readFile(cmd, name)
	if err != nil {
		return nil, err
	}
	rules, err := impersonation.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	compiled, err := impersonation.Compile(rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return compiled, nil
}

// policyVerdict is what policy test prints.
type policyVerdict struct {
	Allowed     bool              `json:"allowed"`
	Denial      string            `json:"denial,omitempty"`
	Rule        string            `json:"rule,omitempty"`
	Message     string            `json:"message,omitempty"`
	Access      string            `json:"access"`
	Minutes     int               `json:"duration_minutes"`
	Obligations policyObligations `json:"obligations"`
	Steps       []policyStep      `json:"steps"`
}

type policyObligations struct {
	SupportAccess bool     `json:"require_support_access,omitempty"`
	Approval      bool     `json:"require_approval,omitempty"`
	Ticket        bool     `json:"require_ticket,omitempty"`
	TicketPattern string   `json:"ticket_pattern,omitempty"`
	ReadOnly      bool     `json:"read_only,omitempty"`
	Minutes       int      `json:"max_duration_minutes,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
}

type policyStep struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Message string `json:"message,omitempty"`
}

func newPolicyTestCmd() *cobra.Command {
	var actor, subject, client, organization, at, file string
	var ask impersonation.Ask
	var access string
	cmd := jsonFlag(&cobra.Command{
		Use: "test --actor USER --subject USER --client CLIENT", Short: "Say whether somebody may act as somebody, and why", Args: named(),
		Long: "Decides as a start would, as if the actor had just confirmed their password, and starts nothing.\n" +
			"Ends with 0 where it is allowed, 1 where it is not.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, given := range map[string]string{"--actor": actor, "--subject": subject, "--client": client} {
				if given == "" {
					return usageError{fmt.Errorf("%s is missing", name)}
				}
			}
			now := time.Now()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return usageError{fmt.Errorf("--at %q: want a time such as 2026-03-14T15:09:26+01:00", at)}
				}
			}
			if ask.IP != "" {
				if _, err := netip.ParseAddr(ask.IP); err != nil {
					return usageError{fmt.Errorf("--ip %q: is no address", ask.IP)}
				}
			}
			ask.Access = impersonation.Access(access)
			if ask.Access != impersonation.ReadOnly && ask.Access != impersonation.Full {
				return usageError{fmt.Errorf("--access %q: want read_only or full", access)}
			}
			var rules *impersonation.Policy
			if file != "" {
				var err error
				if rules, err = readPolicy(cmd, file); err != nil {
					return err
				}
			}
			return withPolicy(cmd, func(ctx context.Context, store *storage.Store, s *impersonation.Service) error {
				var err error
				if ask.Actor, err = findUser(ctx, store, actor); err != nil {
					return err
				}
				as, err := findUser(ctx, store, subject)
				if err != nil {
					return err
				}
				if ask.Client, err = findClient(ctx, store, client); err != nil {
					return err
				}
				ask.SubjectID = as.ID
				if organization != "" {
					o, err := store.Organization(ctx, organization)
					if errors.Is(err, storage.ErrNotFound) {
						return fmt.Errorf("organization %q: there is none with this id or name", organization)
					}
					if err != nil {
						return err
					}
					ask.Organization = o.ID
				}
				if ask.Duration == 0 {
					ask.Duration = s.Limits().DefaultDuration
				}
				v, err := s.Explain(ctx, ask, rules, now)
				if err != nil {
					return err
				}
				if err := showVerdict(cmd, v); err != nil {
					return err
				}
				switch {
				case v.Allowed:
					return nil
				case v.Rule != "":
					return fmt.Errorf("refused by the rule %q: %s", v.Rule, v.Message)
				}
				return fmt.Errorf("refused: %s", v.Message)
			})
		},
	})
	f := cmd.Flags()
	f.StringVar(&actor, "actor", "", "who acts, id or e-mail address")
	f.StringVar(&subject, "subject", "", "as whom, id or e-mail address")
	f.StringVar(&client, "client", "", "at which client")
	f.StringVar(&organization, "organization", "", "in which organization, id or name; their only one")
	f.StringVar(&ask.Reason, "reason", "A test of the policy", "for which reason")
	f.StringVar(&ask.TicketRef, "ticket-ref", "", "with which ticket reference")
	f.StringVar(&access, "access", string(impersonation.ReadOnly), "read_only or full")
	f.DurationVar(&ask.Duration, "duration", 0, "for how long (default the configured one)")
	f.StringVar(&at, "at", "", "at which time, as 2026-03-14T15:09:26+01:00; now")
	f.StringVar(&ask.IP, "ip", "", "from which address")
	f.StringVar(&ask.Entry, "entry", "consent", "how it is started: consent, console, api or token_exchange")
	f.StringVar(&file, "file", "", "with the rules of this file in place of those in force; - is standard input")
	return cmd
}

func showVerdict(cmd *cobra.Command, v impersonation.Verdict) error {
	o := v.Obligations
	shown := policyVerdict{
		Allowed: v.Allowed, Denial: string(v.Denial), Rule: v.Rule, Message: v.Message, Access: string(v.Access), Minutes: int(v.Duration.Minutes()),
		Obligations: policyObligations{o.SupportAccess, o.Approval, o.Ticket, o.TicketPattern, o.ReadOnly, int(o.MaxDuration.Minutes()), o.Scopes},
		Steps:       []policyStep{},
	}
	rows := [][]string{{"STEP", "OUTCOME", "MESSAGE"}}
	for _, s := range v.Steps {
		shown.Steps = append(shown.Steps, policyStep{s.Kind, s.Name, string(s.Outcome), s.Message})
		rows = append(rows, []string{s.Name, string(s.Outcome), s.Message})
	}
	return show(cmd, shown, func(w io.Writer) error {
		if err := table(w, rows); err != nil {
			return err
		}
		if !v.Allowed {
			return nil // what says why follows on standard error
		}
		_, err := fmt.Fprintf(w, "allowed: %s, %d min\n", v.Access, shown.Minutes)
		return err
	})
}

// policyRecord is a version of the policy as --json shows it.
type policyRecord struct {
	Version   int64     `json:"version"`
	Note      string    `json:"note,omitempty"`
	Author    string    `json:"author,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Rules     string    `json:"rules,omitempty"`
}

func policyRecordOf(p *storage.Policy) policyRecord {
	return policyRecord{p.Version, p.Note, p.AuthorID, p.CreatedAt.Time(), p.Rules}
}

func newPolicyShowCmd() *cobra.Command {
	var version int64
	cmd := jsonFlag(&cobra.Command{
		Use: "show", Short: "Show the rules in force, as policy set reads them", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				p, err := store.CurrentPolicy(ctx)
				if cmd.Flags().Changed("version") {
					if p, err = store.Policy(ctx, version); errors.Is(err, storage.ErrNotFound) {
						return fmt.Errorf("version %d: there is none", version)
					}
				} else if errors.Is(err, storage.ErrNotFound) {
					p, err = &storage.Policy{Rules: "rules: []\n"}, nil
				}
				if err != nil {
					return err
				}
				return show(cmd, policyRecordOf(p), func(w io.Writer) error {
					_, err := io.WriteString(w, p.Rules)
					return err
				})
			})
		},
	})
	cmd.Flags().Int64Var(&version, "version", 0, "an earlier version")
	return cmd
}

func newPolicySetCmd() *cobra.Command {
	var file, note string
	var basedOn int64
	cmd := jsonFlag(&cobra.Command{
		Use: "set --file FILE", Short: "Make the rules of a file those in force", Args: named(),
		Long: "Checks the rules of a YAML file and makes them the next version. What runs and is no longer\nallowed ends.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("--file is missing")}
			}
			rules, err := readPolicy(cmd, file)
			if err != nil {
				return err
			}
			return withPolicy(cmd, func(ctx context.Context, store *storage.Store, s *impersonation.Service) error {
				if !cmd.Flags().Changed("based-on") {
					current, err := store.CurrentPolicy(ctx)
					if err == nil {
						basedOn = current.Version
					} else if !errors.Is(err, storage.ErrNotFound) {
						return err
					}
				}
				saved, err := s.SetPolicy(ctx, rules, note, basedOn, operator(), time.Now())
				if errors.Is(err, storage.ErrPolicyChanged) {
					return fmt.Errorf("version %d is not the newest: look at policy show, then try again", basedOn)
				}
				if err != nil {
					return err
				}
				return show(cmd, policyRecordOf(saved), func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "version %d is in force: %d rules\n", saved.Version, len(rules.Rules()))
					return err
				})
			})
		},
	})
	cmd.Flags().StringVar(&file, "file", "", "YAML file with the rules; - is standard input")
	cmd.Flags().StringVar(&note, "note", "", "why they are changed")
	cmd.Flags().Int64Var(&basedOn, "based-on", 0, "fail unless this is the newest version")
	return cmd
}

// policiesAtOnce bounds one read of the history.
const policiesAtOnce = 200

func newPolicyHistoryCmd() *cobra.Command {
	var limit int
	cmd := jsonFlag(&cobra.Command{
		Use: "history", Short: "List the versions of the rules, the newest first", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				versions, err := store.Policies(ctx, 0, limit)
				if err != nil {
					return err
				}
				all, rows := []policyRecord{}, [][]string{{"VERSION", "SAVED", "AUTHOR", "NOTE"}}
				for _, p := range versions {
					all = append(all, policyRecordOf(&p))
					rows = append(rows, []string{strconv.FormatInt(p.Version, 10), moment(p.CreatedAt), p.AuthorID, p.Note})
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
	cmd.Flags().IntVar(&limit, "limit", policiesAtOnce, "at most so many")
	return cmd
}
