package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
)

func newConfigCmd() *cobra.Command {
	return group("config", "The configuration",
		&cobra.Command{
			Use: "validate", Short: "List everything that is wrong with the configuration", Args: named(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, err := loadConfig(cmd)
				if err != nil {
					return err
				}
				if _, err := branding(c); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
				return err
			},
		},
		newConfigShowCmd(),
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of the configuration file", Args: named(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := cmd.OutOrStdout().Write(config.Schema())
				return err
			},
		})
}

func newConfigShowCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "show", Short: "Show every key, its value without secrets, and where that comes from", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			settings := c.Redacted()
			return show(cmd, settings, func(w io.Writer) error {
				rows := [][]string{{"KEY", "VALUE", "SOURCE"}}
				for _, s := range settings {
					rows = append(rows, []string{s.Key, cell(s.Value), s.Source})
				}
				return table(w, rows)
			})
		},
	})
}
