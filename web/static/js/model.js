// What is known of each instrument: its terms, quote, ticker and recent path.

import { decimalsOf, looseSize, size, sizeDecimals } from './format.js';
import { applyFields } from './protocol.js';
import { Path } from './sparkline.js';

export class Instrument {
  constructor(symbol) {
    this.symbol = symbol;
    this.class = 'unknown';
    this.venues = [];
    // How many decimals its prices are shown with at least: as many as have been
    // quoted. The server's own number also covers prints finer than any quote.
    this.priceDecimals = 0;
    this.sizeDecimals = 0; // the most that a size has
    this.quote = null; // fields of the quote channel, null before the snapshot
    this.ticker = null;
    // Whether the quote was heard on the connection that is open now. One that
    // was not may be old, however lively it looks.
    this.confirmed = false;
    this.path = new Path();
  }

  /** Takes its entry of /v1/symbols. */
  describe(entry) {
    this.class = entry.class;
    this.venues = entry.venues;
    this.grant(entry);
  }

  /** Takes the terms of an ack. */
  grant({ price_decimals: p, size_decimals: s }) {
    if (p !== undefined) this.see(Math.min(p, 2));
    if (s !== undefined) this.sizeDecimals = s;
  }

  /** A size as text, at the precision that suits the instrument. */
  showSize(text, priceText) {
    if (this.class === 'stock' || this.class === 'option') return looseSize(text, 2);
    return size(text, sizeDecimals(priceText, this.sizeDecimals));
  }

  /** A price with so many decimals was quoted. */
  see(decimals) {
    if (decimals > this.priceDecimals) this.priceDecimals = decimals;
  }

  setQuote(message) {
    this.quote = applyFields(message.type === 'snapshot' || !this.quote ? {} : this.quote, message);
    this.confirmed = true;
    for (const text of [message.bid, message.ask]) {
      if (text) this.see(decimalsOf(text));
    }
    this.sample();
  }

  /** Adds the present middle to the path. Done every second too: a price that stands still is a line. */
  sample() {
    if (!this.fresh) return;
    const { bid, ask } = this.quote;
    // Pixels only: the path is drawn, never shown as a number.
    if (bid !== undefined && ask !== undefined) this.path.add((Number(bid) + Number(ask)) / 2);
  }

  setTicker(message) {
    this.ticker = applyFields(message.type === 'snapshot' || !this.ticker ? {} : this.ticker, message);
  }

  /** live, resyncing, stale, halted, down, none; "waiting" before the first quote. */
  get state() {
    if (!this.quote) return 'waiting';
    if (this.quote.stale) return 'stale';
    return this.quote.state ?? 'live';
  }

  /** Whether its quote may be taken for the present market. */
  get fresh() {
    return this.confirmed && this.state === 'live';
  }
}

/** All instruments, by symbol, in the order in which they became known. */
export class Instruments {
  #all = new Map();

  get(symbol) {
    return this.#all.get(symbol);
  }

  /** The instrument, made if it is new. */
  of(symbol) {
    let instrument = this.#all.get(symbol);
    if (!instrument) {
      instrument = new Instrument(symbol);
      this.#all.set(symbol, instrument);
    }
    return instrument;
  }

  get size() {
    return this.#all.size;
  }

  [Symbol.iterator]() {
    return this.#all.values();
  }

  /** The connection was lost: nothing is confirmed until it is heard again. */
  doubt() {
    for (const instrument of this.#all.values()) instrument.confirmed = false;
  }
}

const VENUE_COLOURS = 8;
const colours = new Map();

/** A venue's colour: by order of appearance, so that neighbours differ. */
export function venueColour(venue) {
  if (!colours.has(venue)) colours.set(venue, `var(--venue-${colours.size % VENUE_COLOURS})`);
  return colours.get(venue);
}

const CODES = { coinbase: 'CB', kraken: 'KR', bitfinex: 'BFX', bitstamp: 'BTS', binance: 'BIN', gemini: 'GEM', bybit: 'BYB', okx: 'OKX' };

/** A venue in two to four letters, for narrow places. */
export function venueCode(venue) {
  return CODES[venue] ?? venue.slice(0, 4).toUpperCase();
}
