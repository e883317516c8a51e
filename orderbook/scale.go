package orderbook

import "github.com/quotewire/quotewire/market"

// fit converts an event's price and size to the instrument's scale, making that
// finer where the event needs it. It fails, with nothing changed, where a number
// would not fit.
func (in *instrument) fit(p market.Price, z market.Size, e *market.Event) (market.Price, market.Size, bool) {
	have := in.upd.Scale
	if e.PriceDecimals == have.Price && e.SizeDecimals == have.Size {
		return p, z, true
	}
	if !validDecimals(e) {
		return 0, 0, false
	}
	p, pd := market.Trim(p, e.PriceDecimals, have.Price)
	z, zd := market.Trim(z, e.SizeDecimals, have.Size)
	want := have.Finer(market.Scale{Price: pd, Size: zd})
	p, err1 := market.Rescale(p, pd, want.Price)
	z, err2 := market.Rescale(z, zd, want.Size)
	if err1 != nil || err2 != nil || want != have && !in.rebase(want) {
		return 0, 0, false
	}
	return p, z, true
}

func validDecimals(e *market.Event) bool {
	return uint8(e.PriceDecimals) <= uint8(market.MaxDecimals) && uint8(e.SizeDecimals) <= uint8(market.MaxDecimals)
}

// rebase makes the instrument's scale finer, at all venues; false, with nothing
// changed, if something that it holds would not fit.
func (in *instrument) rebase(to market.Scale) bool {
	u := &in.upd
	from := u.Scale
	for _, v := range in.venues {
		for _, b := range v.books {
			if !b.fits(from, to) {
				return false
			}
		}
		if !v.bid.fits(from, to) || !v.ask.fits(from, to) {
			return false
		}
	}
	if !u.fits(from, to) || in.tape != nil && !in.tape.fits(from, to) {
		return false
	}
	for _, v := range in.venues {
		for _, b := range v.books {
			b.rescale(from, to)
		}
		v.bid.rescale(from, to)
		v.ask.rescale(from, to)
	}
	if in.tape != nil {
		in.tape.rescale(from, to)
	}
	u.rescale(from, to)
	in.measure()
	u.Changed |= ChangedScale
	return true
}

// fits reports whether all its numbers can be converted to a finer scale. Sums
// that already stand at the largest number need not.
func (u *Update) fits(from, to market.Scale) bool {
	for i := range u.Levels {
		if !u.Levels[i].fits(from, to) {
			return false
		}
	}
	for i := range u.Tops {
		if !u.Tops[i].fits(from, to) {
			return false
		}
	}
	for i := range u.Trades {
		if !(Level{u.Trades[i].Price, u.Trades[i].Size}).fits(from, to) {
			return false
		}
	}
	for i := range u.Bars {
		if !u.Bars[i].Fits(from, to) {
			return false
		}
	}
	return u.Quote.fits(from, to) && u.Ticker.fits(from, to) && u.Status.fits(from, to)
}

// rescale converts all its numbers to a finer scale that they fit.
func (u *Update) rescale(from, to market.Scale) {
	for i := range u.Levels {
		u.Levels[i].rescale(from, to)
	}
	for i := range u.Tops {
		u.Tops[i].rescale(from, to)
	}
	for i := range u.Trades {
		rescalePrice(&u.Trades[i].Price, from, to)
		rescaleSize(&u.Trades[i].Size, from, to)
	}
	for i := range u.Bars {
		u.Bars[i].Rescale(from, to)
	}
	u.Quote.rescale(from, to)
	u.Ticker.rescale(from, to)
	u.Status.rescale(from, to)
	u.Scale = to
}

func (q *Quote) fits(from, to market.Scale) bool {
	ok := Level{q.Bid, q.BidSize}.fits(from, to) && Level{q.Ask, q.AskSize}.fits(from, to)
	for _, v := range q.BidVenues {
		ok = ok && Level{0, v.Size}.fits(from, to)
	}
	for _, v := range q.AskVenues {
		ok = ok && Level{0, v.Size}.fits(from, to)
	}
	return ok
}

func (q *Quote) rescale(from, to market.Scale) {
	rescalePrice(&q.Bid, from, to)
	rescalePrice(&q.Ask, from, to)
	rescaleSize(&q.BidSize, from, to)
	rescaleSize(&q.AskSize, from, to)
	q.BidTotal = saturate(q.BidTotal, from, to)
	q.AskTotal = saturate(q.AskTotal, from, to)
	for i := range q.BidVenues {
		rescaleSize(&q.BidVenues[i].Size, from, to)
	}
	for i := range q.AskVenues {
		rescaleSize(&q.AskVenues[i].Size, from, to)
	}
}

func (t *VenueQuote) fits(from, to market.Scale) bool {
	return Level{t.Bid, t.BidSize}.fits(from, to) && Level{t.Ask, t.AskSize}.fits(from, to)
}

func (t *VenueQuote) rescale(from, to market.Scale) {
	rescalePrice(&t.Bid, from, to)
	rescalePrice(&t.Ask, from, to)
	rescaleSize(&t.BidSize, from, to)
	rescaleSize(&t.AskSize, from, to)
}

func (lv Level) fits(from, to market.Scale) bool {
	_, err1 := market.Rescale(lv.Price, from.Price, to.Price)
	_, err2 := market.Rescale(lv.Size, from.Size, to.Size)
	return err1 == nil && err2 == nil
}

func (lv *Level) rescale(from, to market.Scale) {
	rescalePrice(&lv.Price, from, to)
	rescaleSize(&lv.Size, from, to)
}

func rescalePrice(p *market.Price, from, to market.Scale) {
	*p, _ = market.Rescale(*p, from.Price, to.Price)
}

func rescaleSize(s *market.Size, from, to market.Scale) {
	*s, _ = market.Rescale(*s, from.Size, to.Size)
}

// maxSize is where sums of sizes stay that do not fit.
const maxSize = 1<<63 - 1

// addSize adds two sizes that are not negative and stays at the largest when the
// sum does not fit.
func addSize(a, b market.Size) market.Size {
	if c := a + b; c >= a {
		return c
	}
	return maxSize
}

// saturate converts a sum of sizes, staying at the largest number.
func saturate(s market.Size, from, to market.Scale) market.Size {
	if s == maxSize {
		return s
	}
	r, err := market.Rescale(s, from.Size, to.Size)
	if err != nil {
		return maxSize
	}
	return r
}
