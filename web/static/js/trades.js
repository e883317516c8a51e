// The tape: prints of the chosen instrument, the newest on top. Rows are moved
// and filled again, not made anew.

import { el, setAttr, setText, setVar } from './dom.js';
import { clock, price, words } from './format.js';
import { onFrame } from './frame.js';
import { venueColour } from './model.js';

const MOST = 200; // rows
const RATE_WINDOW = 10; // seconds
const SHORT = { intermarket_sweep: 'ISO', odd_lot: 'odd', form_t: 'ext', average_price: 'avg', derivatively_priced: 'deriv' };

export class Tape {
  constructor(root, rate, now = () => performance.now()) {
    this.#now = now;
    this.#rate = rate;
    const head = el('div', { class: 'print head', role: 'row' });
    for (const [title, name] of [['Time', 'time'], ['Price', 'price'], ['Size', 'size'], ['Venue', 'at']]) {
      head.append(el('div', { class: name, role: 'columnheader' }, title));
    }
    this.#rows = el('div', { class: 'rows', role: 'rowgroup' });
    this.#table = el('div', { class: 'tape', role: 'table', 'aria-label': 'Trades' }, el('div', { role: 'rowgroup', class: 'head-group' }, head), this.#rows);
    this.#empty = el('p', { class: 'empty' });
    root.append(this.#table, this.#empty);
  }

  #now;
  #rate;
  #rows;
  #table;
  #empty;
  #pending = []; // oldest first
  #recent = []; // when prints came, for the rate
  #byID = new Map(); // venue and id -> Print
  #instrument = null;

  /** Starts an empty tape for another instrument. */
  begin(instrument) {
    this.#instrument = instrument;
    this.#pending = [];
    this.#recent = [];
    this.#byID.clear();
    this.#rows.replaceChildren();
    this.say('Waiting for the next trade.');
    this.tick();
  }

  /** Says in place of the trades why there are none. */
  say(text) {
    setText(this.#empty, text);
  }

  /** Adds the events of a trade message or snapshot. */
  add(events) {
    const now = this.#now();
    for (const event of events) {
      this.#pending.push(event);
      if (!event.prior && !event.kind) this.#recent.push(now);
    }
    onFrame(this.#draw);
  }

  /** Marks that trades are missing here. */
  mark(text) {
    if (this.#rows.childElementCount === 0 && this.#pending.length === 0) return;
    this.#pending.push({ mark: text });
    onFrame(this.#draw);
  }

  tick() {
    const since = this.#now() - RATE_WINDOW * 1000;
    while (this.#recent.length > 0 && this.#recent[0] < since) this.#recent.shift();
    setText(this.#rate, this.#instrument && this.#recent.length ? `${(this.#recent.length / RATE_WINDOW).toFixed(1)} /s` : '');
  }

  #draw = () => {
    for (const event of this.#pending.splice(0).slice(-MOST)) {
      if (event.mark !== undefined) this.#put(markRow(event.mark));
      else if (event.kind === 'cancel' || event.kind === 'correction') this.#amend(event);
      else this.#print(event);
    }
    this.#empty.hidden = this.#rows.childElementCount > 0;
  };

  #put(root) {
    this.#rows.prepend(root);
    if (this.#rows.childElementCount > MOST) this.#rows.lastChild.remove();
  }

  #print(event) {
    // The last row is used again once there are enough of them.
    const last = this.#rows.childElementCount >= MOST ? this.#rows.lastChild : null;
    const print = last?.print ?? new Print();
    if (print.key) this.#byID.delete(print.key);
    print.fill(event, this.#instrument);
    if (print.key) this.#byID.set(print.key, print);
    this.#put(print.root);
  }

  /** A correction or cancel: the print it names is struck out, and it is itself listed. */
  #amend(event) {
    this.#byID.get(`${event.venue} ${event.of}`)?.strike(event.kind);
    if (event.price !== undefined) this.#print(event);
    else this.#put(markRow(`${event.venue ?? ''} cancelled trade ${event.of ?? ''}`));
  }
}

function markRow(text) {
  return el('div', { class: 'mark', role: 'row' }, el('div', { role: 'cell' }, text));
}

class Print {
  constructor() {
    const cell = (name) => el('div', { class: name, role: 'cell' });
    this.time = cell('time num');
    this.price = cell('price num');
    this.size = cell('size num');
    this.at = cell('at');
    this.swatch = el('i', { class: 'swatch', 'aria-hidden': 'true' });
    this.venue = el('span');
    this.cond = el('span', { class: 'cond' });
    this.at.append(this.swatch, this.venue, this.cond);
    this.root = el('div', { class: 'print', role: 'row' }, this.time, this.price, this.size, this.at);
    this.root.print = this;
    this.key = null;
  }

  fill(event, instrument) {
    this.key = event.id === undefined ? null : `${event.venue} ${event.id}`;
    setText(this.time, event.ts === undefined ? '–' : clock(event.ts));
    setText(this.price, price(event.price, instrument.priceDecimals));
    setText(this.size, instrument.showSize(event.size, event.price));
    setAttr(this.size, 'title', event.size);
    setText(this.venue, event.venue ?? '');
    setVar(this.root, '--venue', event.venue ? venueColour(event.venue) : 'transparent');
    const cond = [...(event.cond ?? [])];
    if (event.prior) cond.unshift('before this session');
    if (event.kind) cond.unshift(event.kind);
    setText(this.cond, cond.map((name) => SHORT[name] ?? words(name)).join(', '));
    setAttr(this.cond, 'title', cond.length ? cond.map(words).join(', ') : null);
    setAttr(this.root, 'data-side', event.side || null);
    setAttr(this.price, 'aria-label', event.side ? `${event.price}, ${event.side}` : null);
    setAttr(this.root, 'data-struck', null);
  }

  strike(kind) {
    setAttr(this.root, 'data-struck', kind);
  }
}
