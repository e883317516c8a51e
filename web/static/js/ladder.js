// The order book as a ladder: asks above, bids below, the spread between; at each
// level its size, the sum up to it, and how the venues share it.

import { el, setAttr, setText, setVar } from './dom.js';
import { add, compare, middle, price, ratio, subtract } from './format.js';
import { venueCode, venueColour } from './model.js';

const LABEL_SHARE = 0.3; // a venue's segment narrower than this has no room for its name
const PERCENT_SHARE = 0.5; // and for its percentage

export class Ladder {
  /** levels: how many a side at most; fewer are shown where there is less room. */
  constructor(root, levels) {
    this.most = levels;
    this.levels = levels;
    this.root = root;
    this.asks = rows(levels, 'ask');
    this.bids = rows(levels, 'bid');
    this.mid = el('span', { class: 'mid num' });
    this.spread = el('span', { class: 'spread num' });
    this.badge = el('span', { class: 'tag', 'data-tone': 'warn', hidden: true });
    this.balanceBid = el('span', { class: 'num' });
    this.balanceAsk = el('span', { class: 'num' });
    this.balance = el('div', { class: 'balance' },
      this.balanceBid, el('div', { class: 'balance-bar', 'aria-hidden': 'true' }), this.balanceAsk);
    this.note = el('p', { class: 'empty', hidden: true });
    this.message = el('p', { class: 'empty' }, 'Choose an instrument.');
    const head = el('div', { class: 'level head', role: 'row' });
    for (const [title, name] of [['Price', 'price'], ['Size', 'size'], ['Total', 'total'], ['Venues', 'split']]) {
      head.append(el('div', { class: name, role: 'columnheader' }, title));
    }
    this.table = el('div', { class: 'levels', role: 'table', 'aria-label': 'Order book' }, head,
      el('div', { class: 'side asks', role: 'rowgroup', 'aria-label': 'Asks' }, ...this.asks.map((r) => r.root).reverse()),
      el('div', { class: 'between' }, this.mid, this.spread, this.badge),
      el('div', { class: 'side bids', role: 'rowgroup', 'aria-label': 'Bids' }, ...this.bids.map((r) => r.root), this.note),
      this.balance);
    root.append(this.table, this.message);
    root.addEventListener('pointerover', (event) => this.#explain(event));
    new ResizeObserver(() => this.#fit()).observe(root);
  }

  /** Shows as many levels a side as there is room for: the spread stays in sight. */
  #fit() {
    const least = parseInt(getComputedStyle(this.root).getPropertyValue('--level'), 10);
    const taken = [...this.table.children].filter((part) => !part.classList.contains('side')).reduce((sum, part) => sum + part.offsetHeight + 4, 0);
    const fitting = Math.floor((this.root.clientHeight - taken) / 2 / least);
    const levels = Math.max(5, Math.min(this.most, fitting));
    if (!this.root.clientHeight || levels === this.levels) return;
    this.levels = levels;
    for (const side of [this.asks, this.bids]) side.forEach((row, i) => (row.root.hidden = i >= levels));
    this.balance.title = `Size of the best ${levels} levels, bids against asks`;
    if (this.#drawn) this.draw(...this.#drawn);
  }

  #drawn = null;

  /** Says in place of the levels why there are none. */
  say(text) {
    setText(this.message, text);
    this.message.hidden = text === '';
    if (text !== '') this.#drawn = null;
    else if (this.table.hidden) requestAnimationFrame(() => this.#fit()); // it had no height before
    this.table.hidden = text !== '';
  }

  /** note, if any, stands where the levels would be that there are none of. */
  draw(book, instrument, note = '') {
    this.#drawn = [book, instrument, note];
    setText(this.note, note);
    this.note.hidden = note === '';
    this.table.classList.toggle('top-only', note !== '');
    const asks = book.asks.slice(0, this.levels);
    const bids = book.bids.slice(0, this.levels);
    const best = bids[0] ?? asks[0];
    const format = {
      price: instrument.priceDecimals,
      size: (text) => instrument.showSize(text, best.price), // alike at all levels
    };
    
    const askSums = sums(asks);
    const bidSums = sums(bids);
    // Floats from here on: lengths of bars, not numbers that are read.
    const widest = Math.max(Number(askSums.at(-1) ?? 0), Number(bidSums.at(-1) ?? 0)) || 1;
    let largest = 0;
    for (const level of [...asks, ...bids]) largest = Math.max(largest, Number(level.size));
    const scale = { widest, largest: largest || 1 };
    this.asks.forEach((row, i) => row.draw(asks[i], askSums[i], scale, format));
    this.bids.forEach((row, i) => row.draw(bids[i], bidSums[i], scale, format));
    this.#between(bids[0], asks[0], instrument);
    this.#balance(bidSums.at(-1), askSums.at(-1), format);
  }

  #between(bid, ask, instrument) {
    const badge = bid && ask ? { '-1': '', 0: 'locked', 1: 'crossed' }[compare(bid.price, ask.price)] : '';
    setText(this.badge, badge);
    this.badge.hidden = badge === '';
    if (!bid || !ask) {
      setText(this.mid, '–');
      setText(this.spread, bid || ask ? 'one side only' : '');
      return;
    }
    const mid = middle(bid.price, ask.price);
    const gap = subtract(ask.price, bid.price);
    const points = ratio(gap, mid, 2, 4);
    setText(this.mid, price(mid, instrument.priceDecimals));
    setText(this.spread, `Spread ${price(gap, instrument.priceDecimals)}${points === null ? '' : `  ·  ${price(points)} bps`}`);
  }

  #balance(bid = '0', ask = '0', format) {
    const all = add(bid, ask);
    const share = ratio(bid, all, 1, 2);
    this.balance.hidden = share === null;
    if (share === null) return;
    setText(this.balanceBid, `Bids ${format.size(bid)}`);
    setText(this.balanceAsk, `${format.size(ask)} Asks`);
    setVar(this.balance, '--share', `${share}%`);
  }

  /** A level's exact split, written only where the pointer is. */
  #explain(event) {
    const root = event.target.closest('.level[data-row]');
    const row = root && (root.dataset.side === 'ask' ? this.asks : this.bids)[Number(root.dataset.row)];
    if (!row?.level) return;
    const split = Object.entries(row.level.venues ?? {}).map(([venue, part]) => `${venue} ${part}`);
    setAttr(row.root, 'title', [`${row.level.size} at ${row.level.price}`, ...split].join('\n'));
  }
}

function rows(n, side) {
  return Array.from({ length: n }, (_, i) => new LevelRow(side, i));
}

/** The running sums of the levels' sizes, exact. */
function sums(levels) {
  let sum = '0';
  return levels.map((level) => (sum = add(sum, level.size)));
}

class LevelRow {
  constructor(side, index) {
    this.price = el('div', { class: 'price num', role: 'cell' });
    this.size = el('div', { class: 'size num', role: 'cell' });
    this.total = el('div', { class: 'total num', role: 'cell' });
    this.split = el('div', { class: 'split', role: 'cell' });
    this.root = el('div', { class: `level ${side}`, role: 'row', 'data-row': String(index), 'data-side': side },
      this.price, this.size, this.total, this.split);
    this.segments = [];
    this.level = null;
  }

  draw(level, sum, scale, format) {
    this.level = level ?? null;
    setAttr(this.root, 'data-empty', level ? null : '');
    if (!level) {
      for (const cell of [this.price, this.size, this.total]) setText(cell, '');
      setVar(this.root, '--size', '0');
      setVar(this.root, '--depth', '0');
      this.#split(null, '0');
      return;
    }
    setText(this.price, price(level.price, format.price));
    setText(this.size, format.size(level.size));
    setText(this.total, format.size(sum));
    setVar(this.root, '--size', (Number(level.size) / scale.largest).toFixed(3));
    setVar(this.root, '--depth', (Number(sum) / scale.widest).toFixed(3));
    this.#split(level.venues, level.size);
  }

  /** A bar in which each venue has its share. */
  #split(venues, total) {
    const parts = Object.entries(venues ?? {}).map(([venue, part]) => ({ venue, share: Number(part) / Number(total) }));
    parts.sort((a, b) => (a.venue < b.venue ? -1 : 1)); // a venue keeps its place from level to level
    while (this.segments.length < parts.length) {
      const segment = el('span', { class: 'segment' });
      this.segments.push(segment);
      this.split.append(segment);
    }
    this.segments.forEach((segment, i) => {
      const part = parts[i];
      segment.hidden = !part;
      if (!part) return;
      const percent = parts.length > 1 ? Math.min(99, Math.max(1, Math.round(part.share * 100))) : 100;
      setVar(segment, '--venue', venueColour(part.venue));
      setVar(segment, 'flex-grow', String(Math.max(percent, 3)));
      const code = venueCode(part.venue);
      setText(segment, parts.length === 1 ? part.venue : part.share >= PERCENT_SHARE ? `${code} ${percent}%` : part.share >= LABEL_SHARE ? code : '');
    });
  }
}
