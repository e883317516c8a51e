// The local copy of one order book: snapshot, deltas, and the checksum that
// proves after each of them that it equals the server's.

import { compare } from './format.js';
import { crc32 } from './crc32.js';

const CRC_LEVELS = 10;

export class Book {
  /** depth: levels a side that are kept, 0 for all: what the ack granted. */
  constructor(depth = 0) {
    this.depth = depth;
    this.bids = []; // {price, size, venues|null}, best first
    this.asks = [];
    this.verified = 0; // messages whose checksum was right
    this.mismatches = 0;
    this.intact = false; // false until a snapshot, and after a mismatch until the next
  }

  /** Replaces everything. Returns false if the checksum says that it is wrong. */
  snapshot(message) {
    const descending = (a, b) => compare(b.price, a.price);
    const ascending = (a, b) => compare(a.price, b.price);
    this.bids = levels(message.bids).sort(descending);
    this.asks = levels(message.asks).sort(ascending);
    this.#trim();
    return this.#check(message.crc);
  }

  /** Applies the levels that changed. Returns false if the book has come apart. */
  delta(message) {
    if (!this.intact) return false;
    for (const level of levels(message.bids)) put(this.bids, level, -1);
    for (const level of levels(message.asks)) put(this.asks, level, 1);
    this.#trim();
    return this.#check(message.crc);
  }

  /** The checksum over the best ten levels a side. */
  checksum() {
    let text = '';
    for (const side of [this.asks, this.bids]) {
      for (const level of side.slice(0, CRC_LEVELS)) text += digits(level.price) + digits(level.size);
    }
    return crc32(text);
  }

  /** Forgets the levels, for a stream that starts again. Counters stay. */
  clear() {
    this.bids = [];
    this.asks = [];
    this.intact = false;
  }

  #trim() {
    if (this.depth === 0) return;
    if (this.bids.length > this.depth) this.bids.length = this.depth;
    if (this.asks.length > this.depth) this.asks.length = this.depth;
  }

  #check(expected) {
    this.intact = expected === undefined || expected === this.checksum();
    if (!this.intact) this.mismatches++;
    else if (expected !== undefined) this.verified++;
    return this.intact;
  }
}

/** A number's text without the point and without leading zeros; the sign stays, zero is nothing. */
export function digits(text) {
  const negative = text.startsWith('-');
  const bare = (negative ? text.slice(1) : text).replace('.', '').replace(/^0+/, '');
  return bare !== '' && negative ? `-${bare}` : bare;
}

function levels(list) {
  return (list ?? []).map(([price, size, venues]) => ({ price, size, venues: venues ?? null }));
}

/** Sets or, with size zero, removes a level of a side sorted ascending (1) or descending (-1). */
function put(side, level, direction) {
  let low = 0;
  let high = side.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(side[middle].price, level.price) * direction < 0) low = middle + 1;
    else high = middle;
  }
  const found = low < side.length && compare(side[low].price, level.price) === 0;
  if (level.size === '0') {
    if (found) side.splice(low, 1);
  } else {
    side.splice(low, found ? 1 : 0, level);
  }
}
