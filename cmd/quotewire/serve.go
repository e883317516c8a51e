package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/streamer"
)

// newServe returns the command that serves real feeds.
func newServe() *cobra.Command {
	var path, listen, record string
	var role roleFlags
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve the feeds of a config",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c := &config{}
			if path != "" {
				if c, err = loadConfig(path); err != nil {
					return err
				}
			}
			if err := loggingOf(cmd).configure(c.Log); err != nil {
				return err
			}
			s := configured(cmd, c)
			if err := s.addGuard(cmd.Context(), c); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.closeGuard()) }()
			if err := s.addTLS(c.TLS); err != nil {
				return err
			}
			s.adminListen = c.AdminListen
			if path != "" {
				s.reload = &reloader{service: s, path: path, config: c, logging: loggingOf(cmd), cert: s.cert}
			}
			if listen != "" {
				s.listen = listen
			}
			s.record = record
			if err := role.apply(s, c); err != nil {
				return err
			}
			if role.role != "gateway" {
				if path == "" {
					return errors.New("--config is missing; quotewire.example.yaml shows one, `quotewire demo` needs none")
				}
				if err := addFeeds(s, c); err != nil {
					return err
				}
				s.addNet(c)
			}
			return s.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "config `file`")
	cmd.Flags().StringVar(&listen, "listen", "", "`address` to serve on, instead of the config's")
	cmd.Flags().StringVar(&record, "record", "", "also record every frame to this `file`")
	role.register(cmd)
	return cmd
}

// configured returns a service with a config's settings and no feed yet.
func configured(cmd *cobra.Command, c *config) *service {
	s := newService(loggerOf(cmd), streamer.Config{
		Heartbeat: c.Server.Heartbeat.Duration, MinInterval: c.Server.MinInterval.Duration,
		MaxConnections: c.Server.MaxConnections, MaxSubscriptions: c.Server.MaxSubscriptions,
		WriteTimeout: c.Server.WriteTimeout.Duration, SocketBuffer: c.Server.SocketBuffer, Compression: c.Server.Compression, CheckOrigin: originCheck(c.Server.Origins),
	})
	s.listen = c.Listen
	if s.listen == "" {
		s.listen = "127.0.0.1:8080"
	}
	return s
}

func addFeeds(s *service, c *config) error {
	if len(c.Feeds) == 0 {
		return errors.New("the config has no feeds; see quotewire.example.yaml")
	}
	for _, f := range c.Feeds {
		if f.Subscribe == onDemand && (s.bus.role == "feed" || s.listen == "") {
			return fmt.Errorf("feed %q: subscribe: %s needs the clients in this process; a feed node and a recording have none", f.Name, onDemand)
		}
		if err := s.addFeed(f); err != nil {
			return err
		}
	}
	return nil
}

// originCheck allows browser pages of the origins listed; "*" allows all. Without
// a list only the server's own pages may connect.
func originCheck(origins []string) func(*http.Request) bool {
	if len(origins) == 0 {
		return nil
	}
	return func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		if origin == "" || slices.Contains(origins, "*") || slices.Contains(origins, origin) {
			return true
		}
		u, err := url.Parse(origin)
		return err == nil && u.Host == r.Host
	}
}
