// The list of instruments: groups by class, filter, sort, one row each.

import { el, flash, setAttr, setText } from './dom.js';
import { compare, isNegative, isZero, price, ratio, signed, subtract, words } from './format.js';
import { onFrame } from './frame.js';
import { drawPath } from './sparkline.js';

const GROUPS = [['stock', 'Stocks'], ['option', 'Options'], ['index', 'Indices'], ['future', 'Futures'], ['forex', 'Forex'], ['crypto', 'Crypto'], ['unknown', 'Other']];

// title, its cell's class, what it sorts by: a function of an instrument to decimal text, or null.
const COLUMNS = [
  ['Symbol', 'symbol', 'symbol'],
  ['2 min', 'path', null],
  ['Bid', 'bid', null],
  ['Ask', 'ask', null],
  ['Last', 'last', null],
  ['Change', 'change', (i) => changePercent(i, 4)],
];

/** The change as a percentage of the price it is counted from, as text; null where unknown. */
export function changePercent({ ticker }, decimals = 2) {
  if (ticker?.change === undefined || ticker.last === undefined) return null;
  return ratio(ticker.change, subtract(ticker.last, ticker.change), decimals, 2);
}

export class Watchlist {
  /** select(symbol) is called when the user chooses a row. */
  constructor(root, { instruments, filter, count, select }) {
    this.instruments = instruments;
    this.selected = null;
    this.#select = select;
    this.#count = count;
    this.#filter = filter;
    this.#build(root);
    filter.addEventListener('input', () => this.arrange());
    filter.addEventListener('keydown', (event) => this.#filterKey(event));
  }

  #select;
  #count;
  #filter;
  #grid;
  #body;
  #empty;
  #heads = [];
  #rows = new Map(); // symbol -> Row
  #groups = new Map(); // class -> its parts
  #sort = { column: 0, ascending: true };
  #dirty = new Set();
  #order = []; // symbols as shown

  #build(root) {
    const head = el('div', { class: 'row head', role: 'row' });
    COLUMNS.forEach(([title, name, sort], i) => {
      const cell = el('div', { class: name, role: 'columnheader' });
      if (sort) {
        const button = el('button', { type: 'button', class: 'sort' }, title);
        button.addEventListener('click', () => this.#sortBy(i));
        cell.append(button);
      } else {
        cell.append(title);
      }
      this.#heads.push(cell);
      head.append(cell);
    });
    this.#showSort();
    this.#body = el('div', { class: 'rows', role: 'rowgroup' });
    this.#empty = el('p', { class: 'empty' }, 'Loading symbols…');
    this.#grid = el('div', { class: 'watch-grid', role: 'grid', 'aria-label': 'Instruments' },
      el('div', { role: 'rowgroup', class: 'head-group' }, head), this.#body);
    this.#grid.addEventListener('keydown', (event) => this.#key(event));
    root.append(this.#grid, this.#empty);
  }

  /** The instrument's numbers changed: its row is drawn with the next frame. */
  changed(instrument) {
    this.#dirty.add(instrument);
    onFrame(this.#draw);
  }

  #draw = () => {
    for (const instrument of this.#dirty) this.#rows.get(instrument.symbol)?.draw(instrument);
    this.#dirty.clear();
  };

  /** Once a second: paths, and the order where it depends on numbers. */
  tick(colours) {
    if (typeof COLUMNS[this.#sort.column]?.[2] === 'function') this.arrange();
    for (const symbol of this.#order) this.#rows.get(symbol).drawPath(colours);
    for (const [name, group] of this.#groups) {
      let live = 0;
      let all = 0;
      for (const i of this.instruments) {
        if (i.class !== name) continue;
        all++;
        if (i.fresh) live++;
      }
      setText(group.note, live === all ? `${all} live` : `${live} of ${all} live`);
    }
  }

  /** Puts rows in their order; called when instruments, filter or sort change. */
  arrange() {
    const wanted = this.#filter.value.trim().toUpperCase();
    const children = [];
    this.#order = [];
    for (const [name, title] of GROUPS) {
      const members = [...this.instruments].filter((i) => i.class === name && i.symbol.includes(wanted));
      if (members.length === 0) continue;
      children.push(this.#group(name, title).root);
      for (const instrument of this.#sorted(members)) {
        this.#order.push(instrument.symbol);
        children.push(this.#row(instrument).root);
      }
    }
    const now = [...this.#body.children];
    if (now.length !== children.length || children.some((child, i) => child !== now[i])) {
      const focused = document.activeElement;
      this.#body.replaceChildren(...children);
      if (this.#body.contains(focused)) focused.focus({ preventScroll: true });
    }
    const { size } = this.instruments;
    setText(this.#count, wanted && size ? `${this.#order.length} of ${size}` : '');
    this.#empty.hidden = this.#order.length > 0;
    if (size > 0 && this.#order.length === 0) setText(this.#empty, `No symbol has “${wanted}” in it.`);
    this.#grid.classList.toggle('none', this.#order.length === 0);
    this.#rove();
  }

  /** Says in place of the rows why there are none. */
  say(text) {
    setText(this.#empty, text);
  }

  /** Marks the chosen row. */
  show(symbol) {
    const before = this.#rows.get(this.selected)?.root;
    this.selected = symbol;
    if (before) setAttr(before, 'aria-selected', 'false');
    const row = this.#rows.get(symbol)?.root;
    if (row) {
      setAttr(row, 'aria-selected', 'true');
      if (before) row.scrollIntoView({ block: 'nearest' });
    }
    this.#rove();
  }

  /** Moves the choice by so many rows. */
  move(by) {
    if (this.#order.length === 0) return;
    const at = this.#order.indexOf(this.selected);
    const next = this.#order[Math.max(0, Math.min(this.#order.length - 1, at < 0 ? 0 : at + by))];
    this.#choose(next);
  }

  /** One row takes part in tabbing: the chosen one, or the first. */
  #rove() {
    const stop = this.#order.includes(this.selected) ? this.selected : this.#order[0];
    for (const [symbol, row] of this.#rows) setAttr(row.root, 'tabindex', symbol === stop ? '0' : '-1');
  }

  #choose(symbol) {
    this.#select(symbol, false);
    if (this.#grid.contains(document.activeElement)) this.#rows.get(symbol).root.focus({ preventScroll: true });
  }

  #key(event) {
    if (event.target.closest('.sort')) return;
    const page = 10;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by !== undefined) this.move(by);
    else if (event.key === 'Enter' || event.key === ' ') this.#select(event.target.closest('[data-symbol]')?.dataset.symbol ?? this.selected, true);
    else return;
    event.preventDefault();
  }

  #filterKey(event) {
    if (event.key === 'Escape') {
      this.#filter.value = '';
      this.#filter.blur();
      this.arrange();
    } else if (event.key === 'Enter' && this.#order.length > 0) {
      this.#select(this.#order[0], true);
    } else if (event.key === 'ArrowDown' && this.#order.length > 0) {
      this.#rows.get(this.#order[0]).root.focus();
      event.preventDefault();
    }
  }

  /** A column's first order is its natural one: names from A, numbers from the largest. */
  #sortBy(column) {
    const ascending = this.#sort.column === column ? !this.#sort.ascending : column === 0;
    this.#sort = { column, ascending };
    this.#showSort();
    this.arrange();
  }

  #showSort() {
    this.#heads.forEach((head, i) => {
      setAttr(head, 'aria-sort', i === this.#sort.column ? (this.#sort.ascending ? 'ascending' : 'descending') : null);
    });
  }

  #sorted(members) {
    const { column, ascending } = this.#sort;
    const by = COLUMNS[column][2];
    const sign = ascending ? 1 : -1;
    if (by === 'symbol') return members.sort((a, b) => (a.symbol < b.symbol ? -sign : sign));
    const keys = new Map(members.map((i) => [i, by(i)]));
    return members.sort((a, b) => {
      const x = keys.get(a);
      const y = keys.get(b);
      if (x === null || y === null) return (x === null) - (y === null); // the unknown come last
      return compare(x, y) * sign;
    });
  }

  #group(name, title) {
    let group = this.#groups.get(name);
    if (!group) {
      const note = el('span', { class: 'note' });
      group = { root: el('div', { class: 'group', role: 'row' }, el('div', { role: 'rowheader' }, title), note), note };
      this.#groups.set(name, group);
    }
    return group;
  }

  #row(instrument) {
    let row = this.#rows.get(instrument.symbol);
    if (!row) {
      row = new Row(instrument.symbol);
      row.root.addEventListener('click', () => this.#select(instrument.symbol, true));
      setAttr(row.root, 'aria-selected', String(instrument.symbol === this.selected));
      this.#rows.set(instrument.symbol, row);
      row.draw(instrument);
    }
    return row;
  }
}

/** One instrument's row. */
class Row {
  constructor(symbol) {
    const cell = (name) => el('div', { class: `${name} num`, role: 'gridcell' });
    this.tag = el('span', { class: 'tag', hidden: true });
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.bid = cell('bid');
    this.ask = cell('ask');
    this.last = cell('last');
    this.change = cell('change');
    this.root = el('div', { class: 'row', role: 'row', tabindex: '-1', 'data-symbol': symbol },
      el('div', { class: 'symbol', role: 'rowheader' }, el('span', { class: 'name' }, symbol), this.tag),
      el('div', { class: 'path', role: 'gridcell' }, this.canvas), this.bid, this.ask, this.last, this.change);
    this.shown = {}; // texts of the prices that are shown, to know which way they went
  }

  draw(instrument) {
    const { quote, ticker, priceDecimals: d } = instrument;
    this.instrument = instrument;
    this.#price(this.bid, 'bid', quote?.bid, d, instrument.fresh);
    this.#price(this.ask, 'ask', quote?.ask, d, instrument.fresh);
    this.#price(this.last, 'last', ticker?.last, d, instrument.fresh);
    const percent = changePercent(instrument);
    setText(this.change, percent === null ? '–' : `${signed(percent)}%`);
    setAttr(this.change, 'data-tone', percent === null || isZero(percent) ? null : isNegative(percent) ? 'down' : 'up');
    setAttr(this.root, 'data-state', instrument.confirmed || !quote ? instrument.state : 'unconfirmed');
    const tag = tagOf(instrument);
    setText(this.tag, tag?.text ?? '');
    setAttr(this.tag, 'data-tone', tag?.tone ?? null);
    this.tag.hidden = !tag;
  }

  #price(cell, name, text, decimals, fresh) {
    const before = this.shown[name];
    if (text === before && this.shown.decimals === decimals) return;
    this.shown[name] = text;
    if (name === 'last') this.shown.decimals = decimals;
    setText(cell, text === undefined ? '–' : price(text, decimals));
    if (before === undefined || text === undefined || !fresh) return;
    const way = compare(text, before);
    const soft = name === 'last' ? '' : '-soft'; // quotes tick more often than trades, and say less
    if (way !== 0) flash(cell, (way > 0 ? 'up' : 'down') + soft);
  }

  drawPath(colours) {
    const { path } = this.instrument;
    if (this.drawn === path.points.at(-1)?.second && this.colours === colours) return;
    this.drawn = path.points.at(-1)?.second;
    this.colours = colours;
    drawPath(this.canvas, path, colours);
  }
}

/** What a row's name is marked with: a state that is not live, or a market that is locked or crossed. */
function tagOf({ state, quote }) {
  if (state === 'waiting' || state === 'none') return { text: 'no data', tone: 'quiet' };
  if (state !== 'live') return { text: words(state), tone: state === 'down' ? 'down' : 'warn' };
  if (quote.crossed) return { text: 'crossed', tone: 'quiet' };
  if (quote.locked) return { text: 'locked', tone: 'quiet' };
  if (quote.out?.length) return { text: `−${quote.out.length} venue${quote.out.length > 1 ? 's' : ''}`, tone: 'warn' };
  return null;
}
