package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersionCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "version", Short: "Print the version", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return show(cmd, v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "understudy %s (%s, %s)\n", v.Version, v.Go, v.Platform)
				return err
			})
		},
	})
}
