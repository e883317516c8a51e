package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/streamer/auth"
)

// guard makes the service ask clients who they are, if the config says so.
func (s *service) addGuard(ctx context.Context, c *config) error {
	for _, p := range c.Server.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return fmt.Errorf("server.trusted_proxies: %w", err)
		}
		s.proxies = append(s.proxies, prefix)
	}
	s.streamer.Address = clientAddress(s.proxies)
	s.streamer.PerAddress = c.Server.PerAddress.limits()
	s.streamer.AuthTimeout, s.streamer.DelayBytes = c.Auth.Timeout.Duration, c.Auth.DelayMemory
	if c.Auth.Audit != "" {
		s.audit = &auditLog{path: c.Auth.Audit}
		if err := s.audit.reopen(); err != nil {
			return err
		}
		s.streamer.Audit = slog.New(slog.NewJSONHandler(s.audit, nil))
	}
	if !c.Auth.guarded() {
		return nil
	}
	ac, err := c.Auth.access()
	if err != nil {
		return err
	}
	ac.Logger = s.logger
	if s.guard, err = auth.New(ctx, ac); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	s.streamer.Access, s.streamer.Delays = s.guard, ac.Delays()
	return nil
}

// closeGuard ends what addGuard began.
func (s *service) closeGuard() error {
	if s.guard != nil {
		s.guard.Close()
	}
	if s.audit != nil {
		return s.audit.Close()
	}
	return nil
}

// auditLog is a file of JSON lines. It is opened anew when asked to, so that
// another program may move it away.
type auditLog struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func (a *auditLog) reopen() error {
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	a.mu.Lock()
	old := a.file
	a.file = f
	a.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write implements io.Writer.
func (a *auditLog) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Write(b)
}

// Close ends the log.
func (a *auditLog) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close audit log: %w", err)
	}
	return nil
}

var _ io.WriteCloser = (*auditLog)(nil)

// newKey returns the command that makes API keys.
func newKey() *cobra.Command {
	var name, plan string
	cmd := &cobra.Command{
		Use:   "key --name NAME --plan PLAN",
		Short: "Make an API key: what the client gets, and what the config keeps of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, hash := auth.NewKey()
			// Apart, so that who sends the output into the config does not keep the key.
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "for the client, shown only now: %s\n", key); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "keys:\n  - name: %q\n    hash: %s\n    plan: %q\n", name, hash, plan)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "who the key is for")
	cmd.Flags().StringVar(&plan, "plan", "", "`plan` of the config that says what it may see")
	for _, f := range []string{"name", "plan"} {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic(err) // of a flag that is not there
		}
	}
	return cmd
}
