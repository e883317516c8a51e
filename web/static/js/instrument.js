// The chosen instrument: last price and change, best bid and ask with the venues
// that make them, the day's figures, and which venues take part.

import { el, flash, setAttr, setText, setVar } from './dom.js';
import { compact, compare, count, isNegative, isZero, longSpan, price, signed, size, words } from './format.js';
import { venueColour } from './model.js';
import { changePercent } from './watchlist.js';

const SOURCES = {
  nbbo: ['NBBO', 'National best bid and offer, as the securities information processor sent it'],
  consolidated: ['Consolidated', 'Best over the live venues that this server hears'],
  net: ['Net', 'Best price after taker fees, other currencies converted'],
  venue: ['One venue', "One venue's own top of book"],
};

const FIGURES = [
  ['High', (t, d) => t.high && price(t.high, d)],
  ['Low', (t, d) => t.low && price(t.low, d)],
  ['Open', (t, d) => t.open && price(t.open, d)],
  ['Prev close', (t, d) => t.prev_close && price(t.prev_close, d)],
  ['VWAP', (t, d) => t.vwap && trimTo(t.vwap, d)],
  ['Volume', (t) => t.volume && compact(t.volume)],
  ['Trades', (t) => t.trades !== undefined && count(t.trades)],
];

/** A VWAP is a quotient: it is rounded to the price's decimals, unlike a price. */
function trimTo(text, decimals) {
  return size(text, decimals);
}

export class InstrumentView {
  constructor(root) {
    this.root = root;
    this.symbol = el('h2', { class: 'symbol-name' });
    this.tags = el('span', { class: 'tags' });
    this.source = el('span', { class: 'tag', 'data-tone': 'plain', hidden: true });
    this.state = el('span', { class: 'tag', hidden: true });
    this.cross = el('span', { class: 'tag', 'data-tone': 'warn', hidden: true });
    this.tags.append(this.source, this.state, this.cross);
    this.last = el('div', { class: 'last num' });
    this.change = el('div', { class: 'change num' });
    this.bid = new Side('Bid', 'bid');
    this.ask = new Side('Ask', 'ask');
    this.figures = new Map();
    const figures = el('dl', { class: 'figures' });
    for (const [title] of FIGURES) {
      const value = el('dd', { class: 'num' });
      this.figures.set(title, value);
      figures.append(el('div', {}, el('dt', {}, title), value));
    }
    this.venues = el('ul', { 'aria-label': 'Venues in this quote' });
    this.venuesTitle = el('span', { class: 'label' });
    root.append(
      el('div', { class: 'headline' },
        el('div', { class: 'name-line' }, this.symbol, this.tags),
        this.last, this.change),
      this.bid.root, this.ask.root, figures,
      el('div', { class: 'venues' }, this.venuesTitle, this.venues));
    this.chips = new Map();
    this.shown = {};
  }

  /** now is µs since the epoch by the server's clock, for how long a venue has been out. */
  draw(instrument, now) {
    const { quote, ticker, priceDecimals: d } = instrument;
    if (this.instrument !== instrument) {
      this.instrument = instrument;
      this.shown = {};
      this.chips.clear();
      this.venues.replaceChildren();
    }
    setText(this.symbol, instrument.symbol);
    setAttr(this.root, 'data-state', instrument.confirmed || !quote ? instrument.state : 'unconfirmed');
    this.#tags(instrument);
    this.#last(instrument);
    this.bid.draw(instrument, quote?.bid, quote?.bid_size, quote?.bid_total, quote?.bid_venues);
    this.ask.draw(instrument, quote?.ask, quote?.ask_size, quote?.ask_total, quote?.ask_venues);
    for (const [title, text] of FIGURES) {
      const value = (ticker && text(ticker, d)) || '';
      const node = this.figures.get(title);
      setText(node, value || '–');
      node.parentNode.hidden = value === '' && title === 'Prev close'; // venues that never close have none
    }
    this.#venues(instrument, now);
  }

  #tags({ quote, state }) {
    const source = SOURCES[quote?.source];
    this.source.hidden = !source;
    if (source) {
      setText(this.source, source[0]);
      setAttr(this.source, 'title', source[1]);
    }
    this.state.hidden = state === 'live';
    setText(this.state, state === 'waiting' || state === 'none' ? 'no data' : words(state));
    setAttr(this.state, 'data-tone', state === 'down' ? 'down' : 'warn');
    const cross = quote?.crossed ? 'crossed' : quote?.locked ? 'locked' : '';
    this.cross.hidden = !cross;
    setText(this.cross, cross);
  }

  #last(instrument) {
    const { ticker, priceDecimals: d } = instrument;
    const before = this.shown.last;
    setText(this.last, ticker?.last === undefined ? '–' : price(ticker.last, d));
    if (before !== undefined && ticker?.last !== undefined && instrument.fresh) {
      const way = compare(ticker.last, before);
      if (way !== 0) {
        flash(this.last, way > 0 ? 'up' : 'down');
        setAttr(this.last, 'data-tone', way > 0 ? 'up' : 'down');
      }
    } else if (before === undefined) {
      setAttr(this.last, 'data-tone', null);
    }
    this.shown.last = ticker?.last;
    const percent = changePercent(instrument);
    setText(this.change, percent === null ? '' : `${signed(ticker.change, d)}  (${signed(percent)}%)`);
    setAttr(this.change, 'data-tone', percent === null || isZero(percent) ? null : isNegative(percent) ? 'down' : 'up');
  }

  /** Every venue of the instrument; those left out say why and for how long. */
  #venues({ venues, quote }, now) {
    const out = new Map((quote?.out ?? []).map((o) => [o.venue, o]));
    // The venues of a national best are many and take turns: they stand beside
    // the prices, and here only the feed that it comes from.
    const nbbo = quote?.source === 'nbbo';
    const at = new Set(nbbo ? venues : [...Object.keys(quote?.bid_venues ?? {}), ...Object.keys(quote?.ask_venues ?? {})]);
    setText(this.venuesTitle, nbbo ? 'Feed' : 'Venues');
    const all = new Set([...venues, ...at, ...out.keys()]);
    for (const venue of all) {
      let chip = this.chips.get(venue);
      if (!chip) {
        chip = { note: el('span', { class: 'why' }) };
        chip.root = el('li', { class: 'venue' }, el('i', { class: 'swatch', 'aria-hidden': 'true' }), el('span', {}, venue), chip.note);
        setVar(chip.root, '--venue', venueColour(venue));
        this.chips.set(venue, chip);
        this.venues.append(chip.root);
      }
      const left = out.get(venue);
      setAttr(chip.root, 'data-state', left ? left.why : at.has(venue) ? 'best' : 'live');
      setText(chip.note, left ? outText(left, now) : '');
      setAttr(chip.root, 'title', left ? 'Left out of the quote' : nbbo ? 'Source of the quote' : at.has(venue) ? 'At the best price' : 'Live, behind the best price');
    }
  }
}

/** "resyncing 3 s · checksum" */
export function outText({ why, cause, since }, now) {
  const parts = [words(why)];
  if (since && now) parts[0] += ` ${longSpan((now - since) / 1000)}`;
  if (cause && cause !== why) parts.push(words(cause));
  return parts.join(' · ');
}

/** Best bid or ask: price, size, and who stands there. */
class Side {
  constructor(title, name) {
    this.price = el('div', { class: 'quote-price num' });
    this.size = el('span', { class: 'num' });
    this.at = el('span', { class: 'at' });
    this.root = el('div', { class: `quote-side ${name}` },
      el('div', { class: 'label' }, title), this.price, el('div', { class: 'quote-size' }, this.size, this.at));
  }

  draw(instrument, text, largest, total, venues) {
    const before = this.shown;
    setText(this.price, text === undefined ? '–' : price(text, instrument.priceDecimals));
    if (before !== undefined && text !== undefined && this.of === instrument && instrument.fresh) {
      const way = compare(text, before);
      if (way !== 0) flash(this.price, way > 0 ? 'up' : 'down');
    }
    this.shown = text;
    this.of = instrument;
    setText(this.size, total === undefined ? '' : instrument.showSize(total, text));
    setAttr(this.size, 'title', total === undefined ? null : `${total}, of which ${largest} at the largest venue`);
    const names = Object.keys(venues ?? {});
    setText(this.at, names.length === 0 ? '' : names.length > 2 ? `${names.length} venues` : names.join(', '));
  }
}
