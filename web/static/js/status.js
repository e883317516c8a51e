// How the connection, the feeds and the venues are.

import { el, setAttr, setText, setVar } from './dom.js';
import { count, longSpan, span, words } from './format.js';
import { venueColour } from './model.js';
import { LinkState } from './protocol.js';

const POLL = 2000; // ms
const SAMPLES = 64; // of the time a message spent in the server

const LINK_TEXT = {
  [LinkState.CLOSED]: 'Disconnected',
  [LinkState.CONNECTING]: 'Connecting',
  [LinkState.LIVE]: 'Live',
  [LinkState.SILENT]: 'No heartbeat',
  [LinkState.WAITING]: 'Disconnected',
  [LinkState.LOCKED]: 'Key needed',
};

const METRICS = [
  ['lag', 'Lag', 'Milliseconds that this connection is behind, as the server’s heartbeat says'],
  ['inside', 'In server', 'Median time from a frame’s receipt to this message, both by the server’s clock'],
  ['trip', 'Round trip', 'Ping to pong, by this browser’s clock'],
  ['age', 'Last message', 'Age of the last message, by this browser’s clock'],
  ['rate', 'Messages', 'Messages a second on this connection'],
];

/** The bar at the top: one connection's health. */
export class LinkView {
  constructor({ client, text, metrics, notice }) {
    this.#client = client;
    this.#text = text;
    this.#notice = notice;
    for (const [name, title, meaning] of METRICS) {
      const value = el('dd', { class: 'num' }, '–');
      this.#values[name] = value;
      metrics.append(el('div', { title: meaning, 'data-metric': name }, el('dt', {}, title), value));
    }
    this.#retry = el('button', { type: 'button' }, 'Try now');
    this.#retry.addEventListener('click', () => client.retryNow());
    // The seconds tick on the screen; they are not read out each time.
    this.#reason = el('span', { role: 'alert' });
    this.#countdown = el('span', { class: 'num', 'aria-hidden': 'true' });
    notice.append(this.#reason, this.#countdown, this.#retry);
  }

  #client;
  #text;
  #notice;
  #reason;
  #countdown;
  #retry;
  #values = {};
  #inside = []; // ms
  #counted = { at: 0, messages: 0 };
  #rate = null;
  #lastSeen = null; // wall clock, ms

  /** Notes a message's times in µs: both are the server's, so no clocks are compared. */
  note({ rx, tx }) {
    if (rx === undefined || tx === undefined) return;
    this.#inside.push((tx - rx) / 1000);
    if (this.#inside.length > SAMPLES) this.#inside.shift();
  }

  /** A few times a second. */
  draw() {
    const client = this.#client;
    const { state } = client;
    const live = state === LinkState.LIVE;
    const now = client.now();
    if (document.body.dataset.link !== state) document.body.dataset.link = state;
    setText(this.#text, LINK_TEXT[state]);
    if (live) this.#lastSeen = Date.now();

    const elapsed = now - this.#counted.at;
    if (elapsed >= 1000) {
      const messages = client.stats.messages - this.#counted.messages;
      this.#rate = this.#counted.at === 0 ? null : (messages * 1000) / elapsed;
      this.#counted = { at: now, messages: client.stats.messages };
    }
    const age = client.lastMessage ? now - client.lastMessage : null;
    this.#set('lag', live ? `${count(client.lag)} ms` : '–', client.lag > 1000 ? 'down' : client.lag > 250 ? 'warn' : null);
    this.#set('inside', live && this.#inside.length ? span(median(this.#inside)) : '–');
    this.#set('trip', live && client.roundTrip !== null ? span(client.roundTrip) : '–');
    this.#set('age', age === null ? '–' : age < 1000 ? '<1 s' : longSpan(age), live ? null : 'warn');
    this.#set('rate', live && this.#rate !== null ? `${count(this.#rate)} /s` : '–');
    this.#drawNotice(state, now);
  }

  #set(name, text, tone = null) {
    setText(this.#values[name], text);
    setAttr(this.#values[name], 'data-tone', tone);
  }

  #drawNotice(state, now) {
    const down = state === LinkState.WAITING || state === LinkState.SILENT || (state === LinkState.CONNECTING && this.#lastSeen !== null);
    this.#notice.hidden = !down;
    this.#retry.hidden = state !== LinkState.WAITING;
    if (!down) return;
    const parts = [];
    if (state === LinkState.SILENT) parts.push('No heartbeat from the server.');
    else parts.push('Not connected.');
    if (this.#lastSeen !== null) parts.push(`What is shown is from ${new Date(this.#lastSeen).toLocaleTimeString([], { hour12: false })}.`);
    setText(this.#reason, parts.join(' '));
    const wait = Math.max(1, Math.ceil((this.#client.retryAt - now) / 1000));
    setText(this.#countdown, state === LinkState.WAITING ? `Next attempt in ${wait} s.` : state === LinkState.CONNECTING ? 'Connecting…' : '');
  }
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** The bar at the bottom: feeds and venues, from /v1/status. */
export class HealthView {
  /** ask() fetches the address; null where there is no point in it at present. */
  constructor(root, ask) {
    this.#root = root;
    this.#ask = ask;
    this.#feeds = el('ul', { class: 'health', 'aria-label': 'Feeds' });
    this.#venues = el('ul', { class: 'health', 'aria-label': 'Venues' });
    this.#server = el('span', { class: 'server' });
    this.#problem = el('span', { class: 'problem', hidden: true });
    // Feeds are told to the operator's keys alone.
    this.#feedsLabel = el('span', { class: 'label', hidden: true }, 'Feeds');
    this.#venuesLabel = el('span', { class: 'label', hidden: true }, 'Venues');
    root.append(this.#feedsLabel, this.#feeds, this.#venuesLabel, this.#venues, this.#problem, this.#server);
  }

  #root;
  #ask;
  #feedsLabel;
  #venuesLabel;
  #feeds;
  #venues;
  #server;
  #problem;
  #items = new Map();
  #before = new Map(); // feed -> {frames, time}
  #timer = null;

  /** The server's time in µs when it last answered, and when that was here. */
  clock = null;

  start() {
    const again = async () => {
      await this.#poll();
      this.#timer = setTimeout(again, POLL);
    };
    again();
  }

  /** The server's present time in µs; null before its first answer. */
  serverNow() {
    return this.clock && this.clock.server + (performance.now() - this.clock.here) * 1000;
  }

  async #poll() {
    const answer = this.#ask(AbortSignal.timeout(POLL * 2));
    if (!answer) return;
    try {
      const response = await answer;
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      this.#draw(await response.json());
      setAttr(this.#root, 'data-old', null);
      this.#problem.hidden = true;
    } catch (error) {
      setAttr(this.#root, 'data-old', ''); // what stands there is no longer known to be so
      this.#problem.hidden = false;
      setText(this.#problem, 'Status unknown');
      setAttr(this.#problem, 'title', String(error.message ?? error));
    }
  }

  #draw({ server, time, connections, venues = [], feeds = [] }) {
    this.clock = { server: time, here: performance.now() };
    this.#feedsLabel.hidden = this.#feeds.hidden = feeds.length === 0;
    this.#venuesLabel.hidden = this.#venues.hidden = venues.length === 0;
    for (const feed of feeds) {
      const before = this.#before.get(feed.feed);
      const seconds = before ? (time - before.time) / 1e6 : 0;
      const rate = seconds > 0 ? Math.max(0, feed.frames - before.frames) / seconds : null;
      this.#before.set(feed.feed, { frames: feed.frames, time });
      const live = feed.state === 'live';
      const text = live ? (rate === null ? '' : `${count(rate)} /s`) : feed.since ? `${feed.state} ${longSpan((time - feed.since) / 1000)}` : feed.state;
      const details = [`${feed.provider}: ${feed.state}`, feed.cause && `last cause: ${feed.cause}`, `${count(feed.frames)} frames`, `${feed.reconnects} reconnects`, ...(feed.problems ?? [])];
      this.#item(this.#feeds, `feed ${feed.feed}`, feed.feed, live ? 'live' : feed.state, text, details.filter(Boolean).join('\n'));
    }
    for (const { venue, instruments } of venues) {
      const all = Object.values(instruments).reduce((sum, n) => sum + n, 0);
      const live = instruments.live ?? 0;
      const worst = ['down', 'resyncing', 'stale', 'halted'].find((state) => instruments[state] > 0);
      const text = live === all ? String(live) : `${live} of ${all}${worst ? `, ${words(worst)}` : ''}`;
      const item = this.#item(this.#venues, `venue ${venue}`, venue, live === all ? 'live' : live === 0 ? worst ?? 'down' : 'partly', text,
        Object.entries(instruments).map(([state, n]) => `${n} ${state}`).join('\n'));
      setVar(item.root, '--venue', venueColour(venue));
    }
    const clients = connections === undefined ? '' : `  ·  ${connections} client${connections === 1 ? '' : 's'}`;
    setText(this.#server, server + clients);
  }

  #item(list, key, name, state, text, details) {
    let item = this.#items.get(key);
    if (!item) {
      item = { text: el('span', { class: 'num soft' }) };
      item.root = el('li', {}, el('i', { class: 'dot', 'aria-hidden': 'true' }), el('span', {}, name), item.text);
      this.#items.set(key, item);
      list.append(item.root);
    }
    setAttr(item.root, 'data-state', state);
    setAttr(item.root, 'title', details);
    setText(item.text, text);
    return item;
  }
}
