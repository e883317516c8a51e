package orderbook

// BookReport is a book's counters with its best levels, for people and tools.
type BookReport struct {
	BookStats
	TopBids, TopAsks []Level
}

// Report returns the counters and the best n levels a side of every book, by
// instrument, venue and feed.
func (s *Shard) Report(n int) []BookReport {
	var out []BookReport
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		for _, v := range in.venues {
			for _, b := range v.books {
				r := BookReport{BookStats: b.stats}
				if r.State, r.Cause = b.told(); r.State != b.stats.State {
					r.Since = max(r.Since, b.pulseSince)
				}
				r.Levels, r.Scale, r.Bids, r.Asks = b.levels, in.upd.Scale, b.bids.Len(), b.asks.Len()
				if b.orders != nil {
					r.Orders = b.orders.n
				}
				r.TopBids = b.bids.AppendTop(nil, n)
				r.TopAsks = b.asks.AppendTop(nil, n)
				out = append(out, r)
			}
		}
	}
	return out
}
