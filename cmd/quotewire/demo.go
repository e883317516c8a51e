package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer"
)

// newDemo returns the command that runs everything on a simulated market.
func newDemo() *cobra.Command {
	var listen, admin, record string
	var seed uint64
	var rate float64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole service on a simulated market",
		Long: `Demo starts simulated Polygon, Coinbase and Kraken servers on local ports and the
service on top of them, through the real adapters. Open the printed address in a
browser.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDemoWorld(loggerOf(cmd), sim.MarketConfig{Seed: seed, Rate: rate})
			if err != nil {
				return err
			}
			defer d.close()
			s := newService(loggerOf(cmd), streamer.Config{})
			s.listen, s.adminListen, s.record = listen, admin, record
			s.onListen = func(a net.Addr) {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "\n  Quotewire demo: open http://%s/  (Ctrl-C stops)\n\n", a)
			}
			for _, f := range d.feeds() {
				if err := s.addFeed(f); err != nil {
					return err
				}
			}
			return d.runWith(cmd.Context(), s.run)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address to serve on")
	cmd.Flags().StringVar(&admin, "admin-listen", "", "`address` of metrics and profiles; without it there are no profiles")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "which market: the same seed gives the same one")
	cmd.Flags().Float64Var(&rate, "rate", 1, "how busy the market is")
	cmd.Flags().StringVar(&record, "record", "", "also record every frame to this `file`")
	return cmd
}

// demoKey is the API key of the simulated Polygon.
const demoKey = "demo"

// demoWorld is a simulated market and the providers that show it.
type demoWorld struct {
	market                    *sim.Market
	polygon, coinbase, kraken *sim.Server
}

// newDemoWorld starts the simulated providers on local ports.
func newDemoWorld(logger *slog.Logger, cfg sim.MarketConfig) (*demoWorld, error) {
	m, err := sim.NewMarket(cfg)
	if err != nil {
		return nil, fmt.Errorf("simulate market: %w", err)
	}
	d := &demoWorld{market: m}
	for _, p := range []struct {
		name string
		srv  **sim.Server
	}{{"polygon", &d.polygon}, {"coinbase", &d.coinbase}, {"kraken", &d.kraken}} {
		srv, err := sim.NewServer(sim.Config{Provider: p.name, Market: m, Keys: []string{demoKey}, Logger: logger})
		if err == nil {
			*p.srv = srv
			err = srv.Listen("127.0.0.1:0")
		}
		if err != nil {
			d.close()
			return nil, fmt.Errorf("simulate %s: %w", p.name, err)
		}
	}
	return d, nil
}

func (d *demoWorld) close() {
	for _, s := range []*sim.Server{d.polygon, d.coinbase, d.kraken} {
		if s != nil {
			s.Close()
		}
	}
}

// feeds returns the config of feeds that take in all of the simulated market.
func (d *demoWorld) feeds() []feedConfig {
	return []feedConfig{
		{Name: "polygon-stocks", Provider: "polygon", URL: d.polygon.URL(), Market: "stocks", APIKey: demoKey,
			Channels: []string{"T", "Q", "A", "AM"}, Symbols: []string{"*"}},
		{Name: "polygon-crypto", Provider: "polygon", URL: d.polygon.URL(), Market: "crypto", APIKey: demoKey,
			Channels: []string{"XT", "XQ", "XL2"}, Symbols: []string{"*"}},
		{Name: "coinbase", Provider: "coinbase", URL: d.coinbase.URL(), Symbols: d.market.Symbols(sim.Coinbase)},
		{Name: "kraken", Provider: "kraken", URL: d.kraken.URL() + "/v2", Symbols: d.market.Symbols(sim.Kraken), Depth: 100,
			Channels: []string{"book", "trade"}},
	}
}

// runWith lets the market move while fn runs.
func (d *demoWorld) runWith(ctx context.Context, fn func(context.Context) error) error {
	moving, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return d.market.Run(moving) })
	err := fn(ctx)
	stop()
	return errors.Join(err, g.Wait())
}
