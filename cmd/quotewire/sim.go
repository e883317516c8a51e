package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/feeds/sim"
)

// newSim returns the command that runs one simulated provider.
func newSim() *cobra.Command {
	var provider, listen, control string
	var seed uint64
	var rate float64
	var keys []string
	cmd := &cobra.Command{
		Use:   "sim --provider polygon|coinbase|coinbase-advanced|kraken|okx|bybit|bitfinex|gemini|alpaca|binance|binance-usdm|bitstamp",
		Short: "Run a simulated provider alone, to try clients against",
		Example: `  quotewire sim --provider kraken --control 127.0.0.1:9100
  curl -X POST 'http://127.0.0.1:9100/faults/corrupt_checksum?symbol=BTC/USD'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := sim.NewMarket(sim.MarketConfig{Seed: seed, Rate: rate, Cryptos: sim.CryptosFor(provider)})
			if err != nil {
				return fmt.Errorf("simulate market: %w", err)
			}
			srv, err := sim.NewServer(sim.Config{Provider: provider, Market: m, Keys: keys, Logger: loggerOf(cmd)})
			if err != nil {
				return fmt.Errorf("--provider %q: %w", provider, err)
			}
			defer srv.Close()
			if err := srv.Listen(listen); err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "simulated %s at %s\n", provider, srv.URL())
			if control == "" {
				return m.Run(cmd.Context())
			}
			l, err := net.Listen("tcp", control)
			if err != nil {
				return fmt.Errorf("listen for control: %w", err)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "control at http://%s\n", l.Addr())
			server := &http.Server{Handler: sim.Control(srv), ReadHeaderTimeout: 10 * time.Second}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			err = m.Run(cmd.Context())
			_ = server.Close()
			<-served
			return err
		},
	}
	cmd.Flags().StringVar(&provider, "provider", "", "whose protocol to speak")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9000", "address to listen on")
	cmd.Flags().StringVar(&control, "control", "", "local `address` on which faults can be ordered by HTTP; GET / lists them")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "which market")
	cmd.Flags().Float64Var(&rate, "rate", 1, "how busy the market is")
	cmd.Flags().StringSliceVar(&keys, "key", nil, "API keys that polygon and alpaca accept (default: any)")
	return cmd
}
