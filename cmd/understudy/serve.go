package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

func newServeCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer requests until a signal ends the process",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
}

func serve(ctx context.Context, c *config.Config, out io.Writer) error {
	log := newLogger(c.Log, out)
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	s, err := assemble(ctx, c, store, log)
	if err != nil {
		return err
	}
	if have, err := store.Progress(ctx); err == nil && have.Administrators == 0 {
		log.WarnContext(ctx, "no administrator yet; run understudy setup-link")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log.InfoContext(ctx, "serving", "issuer", c.Issuer, "listen", listener.Addr().String(), "ops_listen", c.OpsListen, "version", version)
	s.drainPause = drainPause
	return s.run(ctx, listener)
}

// service is everything that one process runs.
type service struct {
	config  *config.Config
	log     *slog.Logger
	store   *storage.Store
	keys    *provider.Keyring
	prov    *provider.Provider
	server  *handlers.Server
	auditor *provider.Auditor
	logouts *provider.LogoutSender
	pushes  *provider.WebhookSender
	mails   *provider.MailSender // nil: there is no mail server

	opsListener net.Listener  // nil: at config.OpsListen, if that is set
	drainPause  time.Duration // between saying that it goes and going
}

// assemble puts the parts together on an open, migrated store.
func assemble(ctx context.Context, c *config.Config, store *storage.Store, log *slog.Logger) (*service, error) {
	keys, err := openKeys(ctx, c, store)
	if err != nil {
		return nil, err
	}
	look, err := branding(c)
	if err != nil {
		return nil, err
	}
	pages, err := templates.New(look)
	if err != nil {
		return nil, err
	}
	settings, err := providerConfig(c)
	if err != nil {
		return nil, err
	}
	p := provider.New(settings, store, keys, log)
	auditor := provider.NewAuditor(store, keys, c.Issuer)
	auditor.Log = log
	mailer, err := newMailer(c)
	if err != nil {
		return nil, err
	}
	server := handlers.New(handlers.Config{
		Mailer:     mailer,
		CookieName: c.Sessions.CookieName, SessionIdle: c.Sessions.Idle, SessionLifetime: c.Sessions.Lifetime,
		TrustedProxies: c.TrustedProxies, OfferOnRequest: c.Impersonation.Prompt == "on_request", ReportTo: c.Impersonation.ReportTo,
		Auditor: auditor, RotationInterval: c.Keys.RotationInterval, LongestToken: longestUse(c), Settings: shownSettings(c),
		CallsPerSecond: c.API.RequestsPerSecond,
		Dialects:       c.Dialects, DialectReasonRequired: c.Impersonation.DialectReason == "required",
		Findings: func(ctx context.Context) []handlers.Finding {
			return (&examination{config: c, now: time.Now(), store: store}).complaints(ctx)
		},
	}, p, store, pages, log)
	logouts := provider.NewLogoutSender(p)
	logouts.Observe = server.ObserveLogout
	pushes := provider.NewWebhookSender(p)
	pushes.Observe = server.ObserveWebhook
	var mails *provider.MailSender
	if mailer != nil {
		mails = provider.NewMailSender(p, mailer, server.ComposeMail)
		mails.Observe = server.ObserveMail
	}
	return &service{
		mails: mails, config: c, log: log, store: store, keys: keys, prov: p, server: server, auditor: auditor, logouts: logouts, pushes: pushes,
	}, nil
}

// branding reads the logo: an error says what is wrong with the configuration.
func branding(c *config.Config) (templates.Branding, error) {
	look := templates.Branding{Name: c.Branding.Name, Accent: c.Branding.Accent}
	name := c.Branding.Logo
	if name == "" {
		return look, nil
	}
	f, err := os.Open(name)
	if err == nil {
		look.Logo, err = templates.ReadLogo(f)
		_ = f.Close() // it was only read
	}
	if err != nil {
		return look, &config.Error{Problems: []config.Problem{{Key: "branding.logo", Message: fmt.Sprintf("%q: %v", name, err)}}}
	}
	return look, nil
}

// shownSettings are the configuration as the console shows it, without the secrets.
func shownSettings(c *config.Config) []handlers.Setting {
	var shown []handlers.Setting
	for _, s := range c.Redacted() {
		shown = append(shown, handlers.Setting{Key: s.Key, Value: cell(s.Value), Source: s.Source})
	}
	return shown
}

func providerConfig(c *config.Config) (provider.Config, error) {
	settings := provider.Config{
		Issuer:                    c.Issuer,
		AccessTokenLifetime:       c.Tokens.AccessTokenLifetime,
		IDTokenLifetime:           c.Tokens.IDTokenLifetime,
		AuthorizationCodeLifetime: c.Tokens.AuthorizationCodeLifetime,
		RefreshTokenIdle:          c.Tokens.RefreshTokenIdle,
		RefreshTokenLifetime:      c.Tokens.RefreshTokenLifetime,
		RefreshReuseLeeway:        c.Tokens.RefreshReuseLeeway,
		MaxConcurrentHashes:       c.Login.MaxConcurrentHashes,
		HashQueueTimeout:          c.Login.QueueTimeout,
		AllowedNetworks:           c.Outgoing.AllowedNetworks,
		RegistrationMode:          c.Registration.Mode,
		RegistrationScope:         c.Registration.Scope,
		UILocales:                 templates.LanguageTags(),
		TokenEndpointAudience:     c.Tokens.AssertionAudience == "token_endpoint",
		Impersonation: impersonation.Limits{
			DefaultDuration:        c.Impersonation.DefaultDuration,
			MaxDuration:            c.Impersonation.MaxDuration,
			StepUpMaxAge:           c.Impersonation.StepUpMaxAge,
			MaxStartsPerHour:       c.Impersonation.MaxStartsPerHour,
			MaxConcurrent:          c.Impersonation.MaxConcurrent,
			MaxConcurrentPerClient: c.Impersonation.MaxConcurrentPerClient,
			TicketRefRequired:      c.Impersonation.TicketRefRequired,
			ApprovalWait:           c.Impersonation.ApprovalWait,
			AuthorsAtOnce:          c.Impersonation.PolicyAuthorsAtOnce,
		},
	}
	if c.Mail.SMTPURL != "" {
		notify := c.Impersonation.Notify
		settings.Notices = impersonation.Notices{
			Start: notify == "start" || notify == "both", End: notify == "end" || notify == "both", Requests: c.Impersonation.NotifyRequests,
		}
	}
	if p := c.Impersonation.TicketRefPattern; p != "" {
		whole, err := regexp.Compile(`^(?:` + p + `)$`)
		if err != nil {
			return settings, fmt.Errorf("impersonation.ticket_ref_pattern: %w", err)
		}
		settings.Impersonation.TicketRefPattern = whole
	}
	return settings, nil
}

// How often the background work looks around.
const (
	expireEvery     = time.Second
	reconsiderEvery = time.Second
	reloadEvery     = 10 * time.Second
	rotateEvery     = time.Hour
	sweepEvery      = 5 * time.Minute
	noteEvery       = 5 * time.Second
	drainTime       = 20 * time.Second
	drainPause      = time.Second
)

// run serves until ctx ends, then lets requests that were accepted finish.
func (s *service) run(ctx context.Context, listener net.Listener) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, work := errgroup.WithContext(work)
	main := newHTTPServer(s.server.Handler(), s.log)
	servers := []*http.Server{main}
	g.Go(func() error { return s.accept(main, listener) })
	if s.opsListener == nil && s.config.OpsListen != "" {
		ops, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.config.OpsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for operations: %w", err), listener.Close())
		}
		s.opsListener = ops
	}
	if s.opsListener != nil {
		second := newHTTPServer(s.server.Ops(), s.log)
		servers = append(servers, second)
		g.Go(func() error { return closed(second.Serve(s.opsListener)) })
	}
	g.Go(func() error { return s.auditor.Run(work) })
	g.Go(func() error { return s.auditor.Watch(work) })
	g.Go(func() error { return s.logouts.Run(work) })
	if s.mails != nil {
		g.Go(func() error { return s.mails.Run(work) })
	}
	g.Go(func() error { return s.pushes.Run(work) })
	g.Go(func() error { return every(work, expireEvery, s.logged("expire impersonations", s.expire)) })
	g.Go(func() error { return every(work, reconsiderEvery, s.logged("ask the rules again", s.reconsider)) })
	g.Go(func() error { return every(work, reloadEvery, s.logged("load keys", s.reload)) })
	g.Go(func() error { return every(work, noteEvery, s.logged("note the use of API keys", s.prov.NoteKeyUse)) })
	g.Go(func() error { return s.maintainKeys(work) })
	g.Go(func() error { return every(work, sweepEvery, s.logged("sweep", s.sweep)) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-work.Done():
		}
		s.server.Drain()
		time.Sleep(s.drainPause) // whoever balances the load has to see that we are going
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer stop()
		var errs []error
		for _, server := range servers {
			errs = append(errs, server.Shutdown(end))
		}
		cancel()
		return errors.Join(errs...)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.log.InfoContext(ctx, "stopped")
	return nil
}

func (s *service) accept(server *http.Server, listener net.Listener) error {
	if t := s.config.TLS; t.CertFile != "" {
		return closed(server.ServeTLS(listener, t.CertFile, t.KeyFile))
	}
	return closed(server.Serve(listener))
}

// newHTTPServer bounds what a slow or hostile client may cost (SECURITY H01).
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 4 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
	}
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// every calls fn again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, fn func(context.Context)) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			fn(ctx)
		}
	}
}

// logged makes background work whose failure is noted and tried again.
func (s *service) logged(what string, fn func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "background work failed", "work", what, "cause", err.Error())
		}
	}
}

func (s *service) expire(ctx context.Context) error {
	return s.prov.Impersonation.Expire(ctx, time.Now())
}

func (s *service) reconsider(ctx context.Context) error {
	return s.prov.Impersonation.Reconsider(ctx, time.Now())
}

func (s *service) reload(ctx context.Context) error { return s.keys.Load(ctx, time.Now()) }

// maintainKeys rotates keys and encrypts them anew, at the start and from time to
// time.
func (s *service) maintainKeys(ctx context.Context) error {
	maintain := s.logged("maintain keys", func(ctx context.Context) error {
		done, err := s.keys.Maintain(ctx, s.config.Keys.RotationInterval, longestUse(s.config), time.Now())
		if len(done.Published)+len(done.Removed)+len(done.Reencrypted) > 0 {
			s.log.InfoContext(ctx, "signing keys changed", "published", done.Published, "removed", done.Removed, "reencrypted", done.Reencrypted)
		}
		return err
	})
	maintain(ctx)
	if len(s.config.Secrets.Previous) > 0 {
		s.reportSecrets(ctx)
	}
	return every(ctx, rotateEvery, maintain)
}

// reportSecrets says when an earlier secret has served its time.
func (s *service) reportSecrets(ctx context.Context) {
	keys, err := s.store.SigningKeys(ctx)
	if err != nil { // as maintain has logged
		return
	}
	webhooks, err := s.store.Webhooks(ctx)
	if err != nil {
		return
	}
	if previous, _ := s.keys.Sealed(keys); len(previous)+len(s.keys.SealedWebhooks(webhooks)) == 0 {
		s.log.InfoContext(ctx, "no key needs secrets.previous any more: remove it when every server has this secrets.system")
	}
}

func (s *service) sweep(ctx context.Context) error {
	_, err := s.store.Sweep(ctx, time.Now())
	return err
}

func newLogger(c config.Log, out io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Level))); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
