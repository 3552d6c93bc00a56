package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheckCmd() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Ask the server on this machine whether it can serve", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				c, err := loadConfig(cmd)
				if err != nil {
					return err
				}
				if url, err = readyURL(c.OpsListen); err != nil {
					return err
				}
			}
			return healthcheck(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "what to ask; /readyz at ops_listen where it is not given")
	return cmd
}

// readyURL is where this machine reaches what listens at the address.
func readyURL(listen string) (string, error) {
	if listen == "" {
		return "", errors.New("ops_listen is empty: there is nobody to ask")
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
}

func healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{err}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<10))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
