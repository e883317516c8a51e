package main

import (
	"context"
	"crypto/sha256"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"
)

// reloadEvery is how often files are looked at for changes.
const reloadEvery = 5 * time.Second

// reloader follows the config while the service runs: keys, plans, limits, the
// log's level and certificates change at once, and what does not is told.
type reloader struct {
	service *service
	path    string
	config  *config
	logging *logging
	cert    *certificate // nil without one
	sums    map[string][sha256.Size]byte
}

// run reloads what changes, and all on SIGHUP, until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	r.changed()
	for {
		select {
		case <-hup:
			r.changed()
			r.reload(ctx, true)
		case <-tick.C:
			if r.changed() {
				r.reload(ctx, false)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// files are those that the config is made of.
func (r *reloader) files() []string {
	out := []string{r.path}
	v := checker{path: r.path}
	if f := r.config.Auth.KeysFile; f != "" {
		out = append(out, v.beside(f))
	}
	if r.config.Auth.JWT != nil {
		for _, k := range r.config.Auth.JWT.Keys {
			if k.PEMFile != "" {
				out = append(out, v.beside(k.PEMFile))
			}
		}
	}
	if r.cert != nil {
		out = append(out, r.cert.cert, r.cert.key)
	}
	return out
}

// changed reports whether a file is another than when it was called last.
func (r *reloader) changed() bool {
	sums := make(map[string][sha256.Size]byte)
	for _, f := range r.files() {
		if b, err := os.ReadFile(f); err == nil {
			sums[f] = sha256.Sum256(b)
		}
	}
	was := r.sums
	r.sums = sums
	return was != nil && !reflect.DeepEqual(was, sums)
}

// reload takes what has changed. asked also opens the audit log anew.
func (r *reloader) reload(ctx context.Context, asked bool) {
	s := r.service
	if asked && s.audit != nil {
		if err := s.audit.reopen(); err != nil {
			s.logger.Error("audit log", "err", err)
		}
	}
	if r.cert != nil {
		r.cert.watch(s.logger)
	}
	fresh, err := loadConfig(r.path)
	if err != nil {
		s.logger.Error("config not reloaded; the one before goes on", "err", err)
		return
	}
	if err := r.logging.configure(logConfig{Level: fresh.Log.Level}); err != nil {
		s.logger.Error("log level", "err", err)
	}
	s.hub.LimitAddresses(fresh.Server.PerAddress.limits())
	if !r.reloadGuard(ctx, fresh) {
		return
	}
	if later := needRestart(r.config, fresh); len(later) > 0 {
		s.logger.Warn("changes take effect after a restart only", "keys", strings.Join(later, ", "))
	}
	r.config = fresh
	s.logger.Info("config reloaded", "file", r.path)
}

// reloadGuard takes the keys and plans of a config.
func (r *reloader) reloadGuard(ctx context.Context, c *config) bool {
	s := r.service
	if s.guard == nil || !c.Auth.guarded() {
		return true // needRestart tells
	}
	ac, err := c.Auth.access()
	if err != nil {
		s.logger.Error("keys not reloaded; those before go on", "err", err)
		return false
	}
	ac.Logger = s.logger
	for _, d := range ac.Delays() {
		if !slices.Contains(s.streamer.Delays, d) {
			s.logger.Warn("a delay that is new needs a restart; until then the next longer one is served, or, without one, nothing", "delay", d)
		}
	}
	if err := s.guard.Replace(ctx, ac); err != nil {
		s.logger.Error("keys not reloaded; those before go on", "err", err)
		return false
	}
	s.hub.Reauthorize()
	return true
}

// needRestart returns the keys that differ and are read at the start only.
func needRestart(was, is *config) []string {
	a, b := *was, *is
	for _, c := range []*config{&a, &b} {
		guarded := c.Auth.guarded()
		c.Auth.Plans, c.Auth.Keys, c.Auth.JWT, c.Auth.KeysFile, c.Auth.Anonymous = nil, nil, nil, "", ""
		c.Auth.Delay = duration{}
		if guarded {
			c.Auth.Anonymous = "guarded" // that there is a guard
		}
		c.Server.PerAddress, c.Log.Level = limitsConfig{}, ""
	}
	return differ("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// differ returns the YAML paths of fields that differ, down to structs' fields.
func differ(at string, a, b reflect.Value) (out []string) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[duration]() {
			out = append(out, differ(at+name+".", a.Field(i), b.Field(i))...)
			continue
		}
		out = append(out, at+name)
	}
	return out
}
