// Command app serves the example application on its own. Settings come from
// flags or the environment:
//
//	ISSUER=https://id.example CLIENT_ID=shop CLIENT_SECRET=... BASE_URL=https://shop.example app
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-id/understudy/examples/app"
)

func main() {
	if err := run(); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		listen = flag.String("listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8081"), "address to listen on")
		issuer = flag.String("issuer", cmp.Or(os.Getenv("ISSUER"), "http://127.0.0.1:8080"), "URL of the OpenID provider")
		client = flag.String("client-id", cmp.Or(os.Getenv("CLIENT_ID"), "demo-app"), "client id registered there")
		base   = flag.String("base-url", cmp.Or(os.Getenv("BASE_URL"), "http://127.0.0.1:8081"), "URL of this application")
		scopes = flag.String("scopes", cmp.Or(os.Getenv("SCOPES"), "openid profile email"), "scopes to ask for")
	)
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	handler, err := app.New(context.Background(), app.Config{
		Issuer:       *issuer,
		ClientID:     *client,
		ClientSecret: os.Getenv("CLIENT_SECRET"), // no flag: command lines are public
		BaseURL:      *base,
		Scopes:       strings.Fields(*scopes),
	})
	if err != nil {
		return err
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	slog.Info("listening", "address", *listen, "url", *base)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
