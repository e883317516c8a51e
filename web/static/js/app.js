// Puts the page together: one connection, the panels, the chosen instrument.

import { Book } from './book.js';
import { count, decimalsOf } from './format.js';
import { onFrame } from './frame.js';
import { Gate } from './gate.js';
import { InstrumentView } from './instrument.js';
import { Key, reason } from './key.js';
import { Ladder } from './ladder.js';
import { Instruments } from './model.js';
import { Client, LinkState } from './protocol.js';
import { HealthView, LinkView } from './status.js';
import { Tape } from './trades.js';
import { Watchlist } from './watchlist.js';
import { setAttr, setText } from './dom.js';

const DEPTH = 15;
const SETTLE = 120; // ms before a choice by arrow keys is subscribed

const byID = (id) => document.getElementById(id);
const here = (path) => new URL(path, document.baseURI);
const stream = here('v1/stream');
stream.protocol = stream.protocol.replace('http', 'ws');

const key = new Key(tabStorage());
const instruments = new Instruments();
const client = new Client(stream.href, { token: key.value });
const health = new HealthView(byID('statusbar'), (signal) => (client.state === LinkState.LOCKED ? null : ask('v1/status', signal)));
const link = new LinkView({ client, text: byID('link-text'), metrics: byID('metrics'), notice: byID('notice') });
const view = new InstrumentView(byID('panel-instrument'));
const ladder = new Ladder(byID('ladder'), DEPTH);
const tape = new Tape(byID('trades'), byID('trades-rate'));
const watchlist = new Watchlist(byID('watchlist'), {
  instruments, filter: byID('filter'), count: byID('watchlist-count'), select: choose,
});

let chosen = null; // Instrument
let book = new Book();
let terms = null; // of the book, as granted
let deep = false; // the book has had levels
let subscriptions = []; // of the chosen instrument
let settling = null;

function tabStorage() {
  try {
    return sessionStorage;
  } catch {
    return null; // the user lets no page keep anything
  }
}

/** Fetches a page of the server with the key, if there is one. */
function ask(path, signal) {
  return fetch(here(path), { cache: 'no-store', signal, headers: key.headers() });
}

// All instruments: quotes and tickers.

function changed(instrument) {
  watchlist.changed(instrument);
  if (instrument === chosen) onFrame(drawInstrument);
}

function known(symbol, terms) {
  const fresh = !instruments.get(symbol);
  const instrument = instruments.of(symbol);
  instrument.grant(terms);
  if (!fresh) return;
  loadSoon();
  onFrame(arrange);
}

const onQuote = (s, message) => {
  const instrument = instruments.of(s.symbol);
  instrument.setQuote(message);
  link.note(message);
  changed(instrument);
};
const onTicker = (s, message) => {
  const instrument = instruments.of(s.symbol);
  instrument.setTicker(message);
  changed(instrument);
};
const onAck = (s) => known(s.symbol, s.granted);

client.subscribe({ channel: 'quote', symbols: ['*'], interval: '250ms' }, { ack: onAck, snapshot: onQuote, delta: onQuote });
client.subscribe({ channel: 'ticker', symbols: ['*'], interval: '250ms' }, { ack: onAck, snapshot: onTicker, delta: onTicker });

// Class and venues of symbols come from /v1/symbols, asked for again when a
// symbol appears that it did not have, and now and then.

let loading = null;
let retry = 500;

function loadSoon(delay = 300) {
  clearTimeout(loading);
  if (client.state === LinkState.LOCKED) return;
  loading = setTimeout(load, delay);
}

async function load() {
  clearTimeout(loading);
  try {
    const shown = key.value;
    const response = await ask('v1/symbols', AbortSignal.timeout(5000));
    if (response.status === 401) {
      const error = await response.json();
      // The socket may have said so meanwhile, and the user have given another key.
      if (client.state !== LinkState.LOCKED && key.value === shown) client.lock(error);
      return;
    }
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { symbols } = await response.json();
    for (const terms of symbols) instruments.of(terms.symbol).describe(terms);
    retry = 500;
    arrange();
    if (symbols.length === 0) watchlist.say('No symbols yet. They appear here as the feeds report them.');
    // More venues of a symbol become known as their feeds speak.
    loadSoon([...instruments].some((i) => i.venues.length === 0) ? 3000 : 30_000);
  } catch {
    watchlist.say('The list of symbols cannot be had right now.');
    retry = Math.min(retry * 2, 10_000);
    loadSoon(retry);
  }
}

function arrange() {
  watchlist.arrange();
  if (chosen || instruments.size === 0) return;
  const wanted = decodeURIComponent(location.hash.slice(1));
  const all = [...instruments];
  const first = instruments.get(wanted) ?? instruments.get('BTC-USD') ?? all.find((i) => i.class === 'crypto') ?? all[0];
  // A list that is still filling may yet bring the one that is asked for.
  if (wanted === '' || first.symbol === wanted || instruments.size > 1) choose(first.symbol, false);
}

// The chosen instrument: book and trades.

function choose(symbol, deliberate) {
  const instrument = instruments.get(symbol);
  if (!instrument) return;
  if (deliberate && document.body.dataset.tab === 'watchlist') showTab('book');
  if (instrument === chosen) return;
  chosen = instrument;
  watchlist.show(symbol);
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
  document.title = `${symbol} · Quotewire`;
  for (const sub of subscriptions) sub.close();
  subscriptions = [];
  book = new Book();
  terms = null;
  deep = false;
  ladder.say('Waiting for the book.');
  tape.begin(instrument);
  onFrame(drawInstrument);
  onFrame(drawVerified);
  clearTimeout(settling);
  settling = setTimeout(() => subscribeChosen(symbol), deliberate ? 0 : SETTLE);
}

function subscribeChosen(symbol) {
  const onBook = (apply) => (s, message) => {
    const whole = apply(message);
    link.note(message);
    onFrame(drawBook);
    onFrame(drawVerified);
    return whole;
  };
  const refused = (error) => ladder.say(error.message);
  let position = null; // of the tape
  subscriptions = [
    client.subscribe({ channel: 'book', symbols: [symbol], depth: DEPTH, interval: '100ms', venues: true }, {
      ack(s) {
        chosen.grant(s.granted);
        book.depth = s.granted.depth ?? 0;
        terms = s.granted;
      },
      snapshot: onBook((m) => book.snapshot(m)),
      delta: onBook((m) => book.delta(m)),
      error: refused,
    }),
    client.subscribe({ channel: 'trade', symbols: [symbol] }, {
      snapshot(s, m) {
        // After a reconnect that could not be resumed, what came between is missing.
        if (position !== null && (position.epoch !== m.epoch || position.seq !== m.seq)) tape.mark('Reconnected: trades may be missing here');
        if (position === null || position.epoch !== m.epoch || position.seq !== m.seq) tape.add(m.events ?? []);
        position = { epoch: m.epoch, seq: m.seq };
      },
      event(s, m) {
        position = { epoch: s.epoch, seq: m.seq };
        link.note(m);
        tape.add(m.events);
      },
      gap(s, m) {
        tape.mark(`Trades ${count(m.from)}–${count(m.to)} were not sent (${m.reason.replaceAll('_', ' ')})`);
      },
    }),
  ];
}

function drawInstrument() {
  if (!chosen) return;
  view.draw(chosen, health.serverNow());
  drawBook(); // of what has a quote and no levels
}

function drawBook() {
  if (!chosen || (!book.intact && book.bids.length + book.asks.length === 0)) return;
  for (const { price } of [...book.bids, ...book.asks]) chosen.see(decimalsOf(price));
  deep ||= book.bids.length + book.asks.length > 0;
  const top = topOfBook();
  const empty = book.bids.length + book.asks.length === 0 && !top;
  ladder.say(empty ? emptyBook() : '');
  setAttr(ladder.root, 'data-intact', book.intact ? null : 'false');
  if (!empty) ladder.draw(top ?? book, chosen, top ? 'Best bid and offer only: no feed carries deeper levels.' : '');
  setText(byID('book-terms'), terms && !top ? `${terms.depth ? `${terms.depth} levels` : 'all levels'} · ${terms.interval === '0' ? 'every change' : terms.interval}` : '');
  byID('verified').hidden = top !== null;
}

function emptyBook() {
  if (client.state !== LinkState.LIVE) return 'No book while not connected.';
  return chosen.fresh ? 'No orders.' : 'No venue of this instrument is live.';
}

/** The best bid and offer as a book, for instruments that have nothing deeper. */
function topOfBook() {
  const { quote } = chosen;
  if (deep || !quote) return null;
  const side = (price, size, venues) => (price === undefined ? [] : [{ price, size, venues: venues ?? null }]);
  const top = { bids: side(quote.bid, quote.bid_total, quote.bid_venues), asks: side(quote.ask, quote.ask_total, quote.ask_venues) };
  return top.bids.length + top.asks.length > 0 ? top : null;
}

function drawVerified() {
  const node = byID('verified');
  const resyncs = book.mismatches;
  setAttr(node, 'data-state', book.intact ? 'ok' : resyncs ? 'bad' : 'none');
  setText(node, book.intact ? `Verified ${count(book.verified)}` + (resyncs ? ` · ${resyncs} resync${resyncs > 1 ? 's' : ''}` : '') : resyncs ? 'Resyncing' : '');
  setAttr(node, 'title', `${count(book.verified)} messages after which the checksum of this book equalled the server's.\n${resyncs} did not; ${client.stats.resyncs} resyncs of any stream.`);
}

// Connection.

client.addEventListener('state', () => {
  if (client.state !== LinkState.LIVE) {
    if (client.state !== LinkState.SILENT) instruments.doubt();
    for (const instrument of instruments) watchlist.changed(instrument);
    onFrame(drawInstrument);
  }
  link.draw();
});

// The key, where the server wants one.

const gate = new Gate(byID('gate'), (text) => {
  if (!key.take(text)) return false;
  client.signIn(key.value); // the list is loaded once that has been taken
  return true;
});

let entering = false; // the gate has been shown, and nothing has come since

client.addEventListener('locked', ({ detail: error }) => {
  clearTimeout(loading);
  entering = true;
  gate.show(reason(error, key.value !== ''), key.value !== '');
  key.forget(); // it did not do, or does no longer
});
client.addEventListener('state', () => {
  byID('forget').hidden = client.state !== LinkState.LIVE || key.value === '';
  if (client.state !== LinkState.LIVE || !entering) return;
  entering = false;
  gate.hide();
  load();
});
byID('forget').addEventListener('click', () => {
  key.forget();
  location.reload(); // what it showed is gone too
});

addEventListener('online', () => client.retryNow());
document.addEventListener('visibilitychange', () => document.hidden || client.retryNow());

// Once a second and a few times a second.

let colours = readColours();

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { up: of('--up'), down: of('--down'), base: of('--muted') };
}

document.documentElement.addEventListener('themechange', () => {
  colours = readColours();
  watchlist.tick(colours);
});
setInterval(() => link.draw(), 250);
setInterval(() => {
  for (const instrument of instruments) instrument.sample();
  onFrame(() => watchlist.tick(colours));
  onFrame(drawInstrument); // how long a venue has been out
  tape.tick();
}, 1000);
setInterval(() => client.ping(), 5000);

// Tabs of the phone's layout, keys of the desktop's.

const tabs = [...document.querySelectorAll('[role=tab]')];

function showTab(name) {
  document.body.dataset.tab = name;
  for (const tab of tabs) {
    const on = tab.dataset.tab === name;
    setAttr(tab, 'aria-selected', String(on));
    setAttr(tab, 'tabindex', on ? '0' : '-1');
  }
  onFrame(() => watchlist.tick({ ...colours })); // paths that were hidden have no pixels yet
}

tabs.forEach((tab, i) => {
  tab.addEventListener('click', () => showTab(tab.dataset.tab));
  tab.addEventListener('keydown', (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = tabs[(i + by + tabs.length) % tabs.length];
    showTab(next.dataset.tab);
    next.focus();
  });
});

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, button, [role=grid]')) return;
  if (event.key === '/') byID('filter').focus();
  else if (event.key === 'ArrowDown' || event.key === 'j') watchlist.move(1);
  else if (event.key === 'ArrowUp' || event.key === 'k') watchlist.move(-1);
  else return;
  event.preventDefault();
});
addEventListener('hashchange', () => choose(decodeURIComponent(location.hash.slice(1)), true));
addEventListener('resize', () => onFrame(() => watchlist.tick({ ...colours })));

link.draw();
showTab('watchlist');
health.start();
// In this order the list need not be regrouped.
load().finally(() => client.state === LinkState.CLOSED && client.connect());
