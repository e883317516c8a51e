package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/orderbook/best"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/auth"
)

// service is a running server: sources, books, streams, and what joins them.
type service struct {
	logger *slog.Logger
	listen string // address of the HTTP server; "" has none
	// adminListen is where the operator's pages are; "" has metrics at listen.
	adminListen string
	tls         *tls.Config    // nil serves in clear
	cert        *certificate   // of files; nil without
	proxies     []netip.Prefix // whose X-Forwarded-For is believed
	guard       *auth.Guard    // nil lets everybody in
	audit       *auditLog      // nil without
	reload      *reloader      // nil where nothing is to be followed
	epoch       uint64
	streamer    streamer.Config // Directory, Lanes, Metrics and Status are set by newService
	bus         busOptions
	net         best.Config // Directory, Epoch and Sinks are set by run

	dir      *market.Directory
	registry *prometheus.Registry
	ingest   *ingest
	engine   *orderbook.Engine
	hub      *streamer.Hub
	sources  []source
	budgets  *budgets
	wishes   map[market.InstrumentID][]wish // of feeds that subscribe on demand
	joined   *busJoint

	record   string // file that takes every frame; "" none
	recorder *capture.Recorder
	writer   *capture.Writer

	// OnListen, if set, is called with the server's address once it listens.
	onListen func(net.Addr)
}

// source is one producer of frames.
type source struct {
	name string
	src  feeds.Source
}

// newService makes the parts. Feeds are added with addFeed, then run runs it all.
func newService(logger *slog.Logger, cfg streamer.Config) *service {
	s := &service{logger: logger, streamer: cfg, dir: market.NewDirectory(), registry: prometheus.NewRegistry(),
		epoch: uint64(time.Now().UnixMicro()), budgets: newBudgets(), wishes: make(map[market.InstrumentID][]wish)}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.ingest = newIngest(s.dir, logger)
	return s
}

// addFeed adds a feed: a supervised source for each of its connections.
func (s *service) addFeed(c feedConfig) error {
	a, ok := adapters()[c.Provider]
	if !ok {
		return fmt.Errorf("feed %q: no provider %q", c.Name, c.Provider)
	}
	c.budgets = s.budgets
	for _, conn := range c.connections(a) {
		if err := s.addConnection(conn); err != nil {
			return err
		}
	}
	return nil
}

// shards is how many goroutines own books: half the cores, as lanes and sockets
// need the others.
func shards() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// run runs the service until ctx ends or a part fails, then stops it in order:
// sources first, sessions last, so that clients are told.
func (s *service) run(ctx context.Context) (err error) {
	n := shards()
	cfg := s.streamer
	cfg.Directory, cfg.Lanes, cfg.Metrics, cfg.Logger = s.dir, n, s.registry, s.logger
	cfg.Status = s.status
	if len(s.wishes) > 0 {
		cfg.Demand = s.demanded
	}
	cfg.Ready = s.ready
	cfg.Orders = s.orders
	cfg.Server = "quotewire/" + version()
	cfg.NewCodec = func() streamer.UpdateCodec { return bus.NewCodec(s.dir) }
	s.hub = streamer.NewHub(cfg)
	joined, err := s.joinBus(ctx)
	if err != nil {
		return err
	}
	s.joined = joined
	defer func() { err = errors.Join(err, joined.close()) }()
	composer, err := s.newComposer(joined)
	if err != nil {
		return err
	}
	books := s.ingest.books()
	books.Epoch, books.Resync = s.epoch, s.ingest.askResync
	s.engine = orderbook.NewEngine(books, n,
		func(i int) []orderbook.Sink {
			sinks := append([]orderbook.Sink{s.hub.Sink(i)}, joined.sinks()...)
			if composer != nil {
				sinks = append(sinks, composer.Sink())
			}
			return sinks
		})
	s.ingest.take, s.ingest.batch = s.engine.Submit, s.engine.Batch
	s.registry.MustRegister(&collector{in: s.ingest, engine: s.engine, bus: joined}, &usageCollector{s.hub})
	if s.record != "" {
		if err := s.openRecording(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.closeRecording()) }()
	}

	web, err := s.openPages()
	if err != nil {
		return err
	}

	// Each stage has a context of its own, so that they can be stopped in order.
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	stage := func(fn func(context.Context) error) context.CancelFunc {
		c, cancel := context.WithCancel(failed)
		g.Go(func() error {
			if err := fn(c); err != nil && c.Err() == nil {
				return err
			}
			return nil
		})
		return cancel
	}
	stopHub := stage(s.hub.Run)
	stopBus := stage(joined.run)
	stopNet := func() {}
	if composer != nil {
		stopNet = stage(composer.Run)
	}
	stopEngine := stage(s.engine.Run)
	stopTape := func() {}
	if s.recorder != nil {
		stopTape = stage(s.recorder.Run)
	}
	for _, p := range web {
		g.Go(p.serve)
	}
	if s.onListen != nil && len(web) > 0 {
		s.onListen(web[0].listener.Addr())
	}
	stopReload := func() {}
	if s.reload != nil {
		stopReload = stage(s.reload.run)
	}

	sourcesDone := make(chan struct{})
	feedsCtx, stopFeeds := context.WithCancel(failed)
	defer stopFeeds()
	g.Go(func() error {
		defer close(sourcesDone)
		return s.runSources(feedsCtx)
	})

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	s.logger.Info("stopping")
	stopReload()
	stopFeeds()
	<-sourcesDone
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.engine.Drain(grace); err != nil {
		s.logger.Warn("the last events were not applied", "err", err)
	}
	stopTape()
	stopEngine()
	stopNet()
	stopBus()
	if err := s.hub.Shutdown(grace); err != nil {
		s.logger.Warn("clients did not all leave in time", "err", err)
	}
	for _, p := range web {
		p.shutdown(grace)
	}
	stopHub()
	return g.Wait()
}

// shutdownGrace is how long clients and requests may take to end.
const shutdownGrace = 5 * time.Second

// runSources runs all sources until ctx ends or all have ended by themselves.
// What providers sent before the end is still taken. That we hang up is not news
// of a market, so it is neither told to clients nor recorded: a capture that ends
// says nothing of its connections.
func (s *service) runSources(ctx context.Context) error {
	taking := context.WithoutCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	for _, src := range s.sources {
		g.Go(func() error {
			err := src.src.Run(ctx, func(f feeds.Frame) error {
				if f.Kind == feeds.Down && ctx.Err() != nil {
					return nil
				}
				return s.ingest.frame(taking, f)
			})
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("feed %q: %w", src.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// status is what /v1/status says of the feeds and the bus.
func (s *service) status() map[string]any {
	m := map[string]any{"feeds": s.ingest.statuses()}
	if st := s.busStatus(); st != nil {
		m["bus"] = st
	}
	return m
}

// busStatus is what /v1/status says of the bus.
func (s *service) busStatus() any {
	if s.joined == nil {
		return nil
	}
	return s.joined.status()
}

// ready reports why the service cannot serve: none of its feeds is live, or, of a
// gateway, no feed node.
func (s *service) ready() error {
	if st, ok := s.busStatus().(bus.SubscriberStatus); ok {
		for _, n := range st.Nodes {
			if n.Alive {
				return nil
			}
		}
		return errors.New("no feed node is heard; /v1/status tells more")
	}
	list := s.ingest.statuses()
	for _, f := range list {
		if f.State.Up() || f.State == feeds.StateIdle || f.State == replayState {
			return nil
		}
	}
	if len(list) == 0 {
		return nil
	}
	return errors.New("no feed is live yet; /v1/status tells why")
}

// replayState is the state of a feed that is read from a recording.
const replayState = feeds.State("replay")

func (s *service) openRecording() (err error) {
	meta, err := s.ingest.meta()
	if err != nil {
		return err
	}
	if s.writer, err = capture.Create(s.record, capture.Header{Meta: meta}); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	s.recorder = capture.NewRecorder(s.writer, capture.RecorderConfig{})
	s.ingest.tape = s.recorder
	return nil
}

func (s *service) closeRecording() error {
	err := s.writer.Close()
	s.logger.Info("recorded", "file", s.record, "frames", s.recorder.Frames(), "bytes", s.writer.Size(), "lost", s.recorder.Lost())
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
