package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/examples/app"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// demoAddresses is what --json prints.
type demoAddresses struct {
	Issuer       string            `json:"issuer"`
	App          string            `json:"app"`
	Ops          string            `json:"ops"`
	ClientID     string            `json:"client_id"`
	ClientSecret string            `json:"client_secret"`
	Password     string            `json:"password"`
	People       map[string]string `json:"people"` // e-mail address: user id
	Config       string            `json:"config"`
}

func newDemoCmd() *cobra.Command {
	var listen, appListen string
	var dialects []string
	var tour, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a provider and an example application on a throw-away database",
		Long: "demo needs nothing: it makes a throw-away database with organizations, people and an example application,\n" +
			"switches signing in as someone else on, and prints where to click. It listens on loopback only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDemo(cmd.Context(), listen, appListen, dialects, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return d.run(cmd.Context(), func(ctx context.Context) error {
				switch {
				case tour:
					return runTour(ctx, cmd.OutOrStdout(), d)
				case asJSON:
					return json.NewEncoder(cmd.OutOrStdout()).Encode(d.addresses()) //nolint:gosec // the demo's secret is for whoever runs the demo
				}
				d.explain(cmd.OutOrStdout())
				return nil
			}, !tour)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the provider; port 0 takes a free one")
	cmd.Flags().StringVar(&appListen, "app-listen", "127.0.0.1:8081", "address of the example application")
	cmd.Flags().StringSliceVar(&dialects, "dialects", nil, "vendors whose SDKs are answered: clerk, workos, descope, auth0")
	cmd.Flags().BoolVar(&tour, "tour", false, "play the story without a browser, check it and exit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the addresses as one line of JSON")
	return cmd
}

// demo is a provider and an application on a database that is removed at the end.
type demo struct {
	directory     string
	service       *service
	listener      net.Listener
	appListener   net.Listener
	opsListener   net.Listener
	app           http.Handler
	clientSecret  string
	people        map[string]string
	providerURL   string
	appURL        string
	opsURL        string
	configuration string
}

func newDemo(ctx context.Context, listen, appListen string, dialects []string, log io.Writer) (d *demo, err error) {
	d = &demo{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.listener, d.providerURL, err = loopbackListener(ctx, listen); err != nil {
		return d, err
	}
	if d.appListener, d.appURL, err = loopbackListener(ctx, appListen); err != nil {
		return d, err
	}
	if d.directory, err = os.MkdirTemp("", "understudy-demo-"); err != nil {
		return d, err
	}
	if d.opsListener, d.opsURL, err = loopbackListener(ctx, "127.0.0.1:0"); err != nil {
		return d, err
	}
	c, err := d.configure(dialects)
	if err != nil {
		return d, err
	}
	store, err := storage.Open(ctx, storage.Options{DSN: c.Database.DSN.Reveal()})
	if err != nil {
		return d, err
	}
	if _, err := store.Migrate(ctx); err != nil {
		return d, errors.Join(err, store.Close())
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if d.service, err = assemble(ctx, c, store, logger); err != nil {
		return d, errors.Join(err, store.Close())
	}
	d.service.opsListener = d.opsListener // whose port anybody could have taken meanwhile
	if d.people, d.clientSecret, err = seedDemo(ctx, store, d.appURL); err != nil {
		return d, err
	}
	d.app, err = app.New(ctx, app.Config{
		Issuer: d.providerURL, ClientID: demoClient, ClientSecret: d.clientSecret, BaseURL: d.appURL,
		Scopes: []string{"openid", "profile", "email", "offline_access", "invoices:read", "invoices:write"},
	})
	return d, err
}

// configure writes the configuration that the demo runs with, so that the other
// commands can be tried on it.
func (d *demo) configure(dialects []string) (*config.Config, error) {
	d.configuration = filepath.Join(d.directory, "config.yaml")
	list, err := json.Marshal(append([]string{}, dialects...))
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`# The configuration of this demo; it goes when the demo ends.
issuer: %s
listen: %s
ops_listen: %s
database:
  dsn: sqlite:%s
secrets:
  system: %s
dialects: %s
`, d.providerURL, d.listener.Addr(), d.opsListener.Addr(), filepath.Join(d.directory, "understudy.db"), provider.NewSecret(""), list)
	if err := os.WriteFile(d.configuration, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(d.configuration, nil, nil)
}

// loopbackListener refuses to listen anywhere but on this machine: everybody knows
// the demo's passwords.
func loopbackListener(ctx context.Context, address string) (net.Listener, string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", usageError{fmt.Errorf("address %q: %w", address, err)}
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return nil, "", usageError{fmt.Errorf("address %q: the demo listens on loopback only", address)}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, "", fmt.Errorf("%w (--listen 127.0.0.1:0 --app-listen 127.0.0.1:0 take free ports)", err)
	}
	if err != nil {
		return nil, "", err
	}
	return l, "http://" + l.Addr().String(), nil
}

// run serves both until ctx ends, or until story is told and wait is false.
func (d *demo) run(ctx context.Context, story func(context.Context) error, wait bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, group := errgroup.WithContext(ctx)
	application := newHTTPServer(d.app, d.service.log)
	g.Go(func() error { return d.service.run(group, d.listener) })
	g.Go(func() error { return closed(application.Serve(d.appListener)) })
	g.Go(func() error {
		<-group.Done()
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		err := application.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) { // a connection that nobody used yet, for one
			err = application.Close()
		}
		return err
	})
	g.Go(func() error {
		err := story(group)
		if !wait || err != nil {
			cancel()
		}
		return err
	})
	return errors.Join(g.Wait(), d.close())
}

func (d *demo) close() error {
	var errs []error
	for _, l := range []net.Listener{d.listener, d.appListener, d.opsListener} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if d.service != nil {
		errs = append(errs, d.service.store.Close())
	}
	if d.directory != "" {
		errs = append(errs, os.RemoveAll(d.directory))
	}
	return errors.Join(errs...)
}

func (d *demo) addresses() demoAddresses {
	return demoAddresses{
		Issuer: d.providerURL, App: d.appURL, Ops: d.opsURL, ClientID: demoClient, ClientSecret: d.clientSecret,
		Password: demoPassword, People: d.people, Config: d.configuration,
	}
}

func (d *demo) explain(w io.Writer) {
	fmt.Fprintf(w, `
  Understudy is running on a throw-away database.

  1. Open the example application      %s
  2. Sign in as the support account    sam@understudy.test   (password: %s)
  3. Choose "Sign in as another user…", find "ada", give a reason
  4. You are in the application as Ada, with act in the tokens; press Stop to be Sam again

  Or start in the console              %s/admin/users, as Sam: find "grace", Sign in as this user…
  Who acted as me                      %s/account, as ada@globex.test

  The provider       %s
  Everybody else     root@understudy.test (administrator), olga@understudy.test (auditor),
                     ada@globex.test, grace@globex.test, linus@initech.test; the same password
  Other commands     %s impersonation list --config %s
                     %s audit verify --config %s
                     %s apikey create --name trial --permission impersonation:start --config %s

  Ctrl-C ends the demo and removes its data.

`, d.appURL, demoPassword, d.providerURL, d.providerURL, d.providerURL, os.Args[0], d.configuration, os.Args[0], d.configuration, os.Args[0], d.configuration)
}
