package main

import (
	"errors"
	"fmt"
	"net/mail"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// newMailer returns what mail is sent with, nil where there is no mail server.
func newMailer(c *config.Config) (*provider.Mailer, error) {
	if c.Mail.SMTPURL == "" {
		return nil, nil
	}
	return provider.NewMailer(c.Mail.SMTPURL.Reveal(), c.Mail.From, c.Issuer)
}

func newMailCmd() *cobra.Command {
	return group("mail", "The mail server that notices go through", newMailTestCmd())
}

func newMailTestCmd() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "test", Short: "Send a test message", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
				return usageError{fmt.Errorf("--to %q: want an e-mail address", to)}
			}
			mailer, err := newMailer(c)
			if err != nil {
				return err
			}
			if mailer == nil {
				return errors.New("mail.smtp_url is not set")
			}
			look, err := branding(c)
			if err != nil {
				return err
			}
			pages, err := templates.New(look)
			if err != nil {
				return err
			}
			text, err := pages.Mail("test", templates.Mail{To: to, URL: c.Issuer})
			if err != nil {
				return err
			}
			err = mailer.Send(cmd.Context(), &provider.Letter{
				ID: storage.NewID("mail"), To: to, Subject: text.Subject, Text: text.Text, HTML: text.HTML,
			})[0]
			if err != nil {
				return fmt.Errorf("mail server %s: %w", mailHost(c), err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the mail server has taken a message to %s\n", to)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "whom to send it to")
	return cmd
}
