import assert from 'node:assert/strict';
import test from 'node:test';
import { Book } from '../static/js/book.js';
import { applyFields, Client, LinkState } from '../static/js/protocol.js';

/** A server's end of one connection. */
class FakeSocket {
  sent = [];
  closed = false;

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** Delivers messages in one frame. */
  give(...messages) {
    this.onmessage({ data: messages.map((m) => JSON.stringify(m)).join('\n') });
  }

  drop() {
    this.onclose({});
  }

  last(op) {
    return this.sent.findLast((m) => m.op === op);
  }

  count(op) {
    return this.sent.filter((m) => m.op === op).length;
  }
}

const WELCOME = { type: 'welcome', version: '1', server: 'test', session: 's', heartbeat: 5000, limits: {} };

/** A client whose sockets and clock the test holds. */
function rig(t, token) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const sockets = [];
  let now = 1000;
  const client = new Client('ws://test/v1/stream', {
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    now: () => now,
    random: () => 0.5,
    token,
  });
  t.after(() => client.close());
  return {
    client,
    sockets,
    get socket() {
      return sockets.at(-1);
    },
    advance(ms) {
      for (; ms > 0; ms -= 100) {
        now += Math.min(ms, 100);
        t.mock.timers.tick(Math.min(ms, 100));
      }
    },
  };
}

/** Subscribes to one symbol's quote and notes what its handlers are told. */
function follow(r, request = { channel: 'quote', symbols: ['X'], interval: '250ms' }) {
  const log = [];
  const note = (kind) => (stream, message) => {
    log.push([kind, stream.symbol, message?.seq]);
    return r.verdict;
  };
  const sub = r.client.subscribe(request, {
    ack: note('ack'), snapshot: note('snapshot'), delta: note('delta'), event: note('event'), gap: note('gap'),
    error: (e) => log.push(['error', e.code]),
  });
  return { log, sub };
}

function ack(r, sid, symbol = 'X', channel = 'quote') {
  return { type: 'ack', id: r.socket.last('subscribe').id, op: 'subscribe', streams: [{ sid, channel, symbol, interval: '250ms' }] };
}

const snapshot = (sid, seq, rest = {}) => ({ type: 'snapshot', sid, channel: 'quote', symbol: 'X', epoch: 'e1', seq, ...rest });
const delta = (sid, seq, prev, rest = {}) => ({ type: 'delta', sid, seq, prev, ...rest });

test('subscribes after the welcome; one frame holds many messages', (t) => {
  const r = rig(t);
  const { log } = follow(r);
  r.client.connect();
  assert.equal(r.client.state, LinkState.CONNECTING);
  assert.deepEqual(r.socket.sent, []);
  r.socket.give(WELCOME);
  assert.equal(r.client.state, LinkState.LIVE);
  const request = r.socket.last('subscribe');
  assert.deepEqual(request.symbols, ['X']);
  assert.equal(request.resume, undefined);
  r.socket.give(ack(r, 7), snapshot(7, 10), delta(7, 12, 10));
  assert.deepEqual(log, [['ack', 'X', undefined], ['snapshot', 'X', 10], ['delta', 'X', 12]]);
  assert.equal(r.client.stats.messages, 4);
});

test('a pattern takes in symbols that appear later, by the same id', (t) => {
  const r = rig(t);
  const { log } = follow(r, { channel: 'quote', symbols: ['*'] });
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 1, 'A'));
  r.socket.give(ack(r, 2, 'B'), { ...snapshot(2, 1), symbol: 'B' });
  assert.deepEqual(log.map(([kind, symbol]) => `${kind} ${symbol}`), ['ack A', 'ack B', 'snapshot B']);
});

test('prev that does not follow asks for a resync and drops what comes before it', (t) => {
  const r = rig(t);
  const { log } = follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 10), delta(7, 14, 13));
  assert.equal(r.client.stats.resyncs, 1);
  assert.equal(r.socket.last('resync').sid, 7);
  r.socket.give(delta(7, 15, 14));
  assert.deepEqual(log.map((l) => l[0]), ['ack', 'snapshot'], 'no delta reaches the handlers');
  assert.equal(r.socket.count('resync'), 1, 'one request is enough');
  r.socket.give(snapshot(7, 20), delta(7, 21, 20));
  assert.deepEqual(log.at(-1), ['delta', 'X', 21]);
});

test('a resync without an answer is asked for again', (t) => {
  const r = rig(t);
  follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 10), delta(7, 14, 13));
  for (let i = 0; i < 6; i++) {
    r.advance(1000);
    r.socket.give({ type: 'heartbeat', tx: 1, lag: 0 });
  }
  assert.equal(r.socket.count('resync'), 2);
});

test('a handler that finds its state wrong gets a snapshot: book checksum', (t) => {
  const r = rig(t);
  const book = new Book();
  r.client.subscribe({ channel: 'book', symbols: ['X'] }, { snapshot: (s, m) => book.snapshot(m), delta: (s, m) => book.delta(m) });
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 3, 'X', 'book'), snapshot(3, 1, { bids: [['9', '1']], asks: [] }), delta(3, 2, 1, { bids: [['9', '2']], crc: 42 }));
  assert.equal(book.mismatches, 1);
  assert.equal(r.client.stats.resyncs, 1);
  assert.equal(r.socket.last('resync').sid, 3);
  r.socket.give(snapshot(3, 2, { bids: [['9', '2']], asks: [] }));
  assert.equal(book.intact, true);
});

test('resumes where it stood, on the new connection’s sid', (t) => {
  const r = rig(t);
  const { log } = follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 10), delta(7, 12, 10));
  r.socket.drop();
  assert.equal(r.client.state, LinkState.WAITING);
  r.advance(300);
  assert.equal(r.sockets.length, 2);
  r.socket.give(WELCOME);
  assert.deepEqual(r.socket.last('subscribe').resume, { X: { epoch: 'e1', seq: 12 } });
  r.socket.give(ack(r, 99), delta(99, 15, 12));
  assert.deepEqual(log.at(-1), ['delta', 'X', 15]);
  assert.equal(r.client.stats.resumed, 1);
  assert.equal(r.client.stats.resyncs, 0);
});

test('resume with nothing new confirms the stream; a snapshot instead replaces it', (t) => {
  const r = rig(t);
  const { log } = follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 10));
  r.socket.drop();
  r.advance(300);
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), delta(7, 10, 10, { n: 0 }));
  assert.equal(r.client.stats.resumed, 1);
  r.socket.drop();
  r.advance(600);
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 2, { epoch: 'e2' }), delta(7, 3, 2));
  assert.equal(r.client.stats.resumed, 1);
  assert.deepEqual(log.at(-1), ['delta', 'X', 3]);
});

test('a stream that waits for a snapshot is not resumed', (t) => {
  const r = rig(t);
  follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7), snapshot(7, 10), delta(7, 14, 13));
  r.socket.drop();
  r.advance(300);
  r.socket.give(WELCOME);
  assert.equal(r.socket.last('subscribe').resume, undefined);
});

test('a gap is told, and what follows it is taken', (t) => {
  const r = rig(t);
  const { log } = follow(r, { channel: 'trade', symbols: ['X'] });
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7, 'X', 'trade'), { ...snapshot(7, 10), channel: 'trade', events: [] },
    { type: 'gap', sid: 7, from: 11, to: 40, reason: 'slow_consumer' }, { type: 'trade', sid: 7, seq: 45, prev: 44, events: [] });
  assert.deepEqual(log.map((l) => l[0]), ['ack', 'snapshot', 'gap', 'event']);
  assert.equal(r.client.stats.resyncs, 0);
});

test('backs off, with jitter, up to a bound, and starts again after a good connection', (t) => {
  const r = rig(t);
  const delays = [];
  r.client.connect();
  for (let i = 0; i < 8; i++) {
    r.socket.drop();
    delays.push(r.client.retryAt - r.client.now());
    r.advance(delays.at(-1) + 1);
  }
  assert.deepEqual(delays.slice(0, 4), [187.5, 375, 750, 1500]);
  assert.equal(delays.at(-1), 7500);
  r.socket.give(WELCOME);
  for (let i = 0; i < 12; i++) {
    r.advance(1000);
    r.socket.give({ type: 'heartbeat', tx: 1, lag: 3 });
  }
  r.socket.drop();
  assert.equal(r.client.retryAt - r.client.now(), 187.5);
  assert.equal(r.client.lag, 3);
});

test('a shutdown’s hint is waited for', (t) => {
  const r = rig(t);
  r.client.connect();
  r.socket.give(WELCOME, { type: 'error', code: 'server_shutdown', message: 'the server restarts', retry_after: 1500 });
  r.socket.drop();
  assert.ok(r.client.retryAt - r.client.now() >= 1500);
});

test('silence is noticed, then ends the connection', (t) => {
  const r = rig(t);
  r.client.connect();
  const first = r.socket;
  first.give(WELCOME);
  r.advance(8000);
  assert.equal(r.client.state, LinkState.SILENT);
  first.give({ type: 'heartbeat', tx: 1, lag: 0 });
  assert.equal(r.client.state, LinkState.LIVE);
  r.advance(13_500);
  assert.equal(first.closed, true);
  assert.notEqual(r.socket, first);
  const state = r.client.state;
  first.give({ type: 'heartbeat', tx: 1, lag: 77 }); // a dead socket's words are not heard
  first.drop();
  assert.equal(r.client.lag, 0);
  assert.equal(r.client.state, state);
});

test('unsubscribing names what was subscribed, and late messages are dropped', (t) => {
  const r = rig(t);
  const { log, sub } = follow(r, { channel: 'book', symbols: ['X'], depth: 15, interval: '100ms', venues: true });
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give(ack(r, 7, 'X', 'book'), snapshot(7, 1));
  sub.close();
  const { id, ...rest } = r.socket.last('unsubscribe');
  assert.ok(id > 0);
  assert.deepEqual(rest, { op: 'unsubscribe', channel: 'book', symbols: ['X'], depth: 15, interval: '100ms' });
  r.socket.give(delta(7, 2, 1));
  assert.equal(log.length, 2);
});

test('a refusal reaches the subscription; what cannot be read harms nothing', (t) => {
  const r = rig(t);
  const { log } = follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.onmessage({ data: 'not json\n\n{"type":"something_new","sid":1}\n' });
  r.socket.give({ type: 'error', id: r.socket.last('subscribe').id, code: 'unknown_symbol', message: 'no', symbols: ['X'] });
  assert.deepEqual(log, [['error', 'unknown_symbol']]);
  assert.equal(r.client.stats.unreadable, 1);
  assert.equal(r.client.stats.unknown, 1);
  assert.equal(r.client.state, LinkState.LIVE);
});

const unauthorized = (rest) => ({ type: 'error', code: 'unauthorized', message: 'no', ...rest });

test('signs in before anything else, in a message', (t) => {
  const r = rig(t, 'k');
  const { log } = follow(r);
  r.client.connect();
  r.socket.give(WELCOME);
  assert.equal(r.client.state, LinkState.CONNECTING);
  assert.deepEqual(r.socket.sent, [{ op: 'auth', id: 1, token: 'k' }]);
  r.socket.give({ type: 'ack', id: 1, op: 'auth' });
  assert.equal(r.client.state, LinkState.LIVE);
  r.socket.give(ack(r, 7), snapshot(7, 10));
  r.socket.drop();
  r.advance(300);
  r.socket.give(WELCOME);
  assert.deepEqual(r.socket.sent.map((m) => m.op), ['auth'], 'again on each connection');
  r.socket.give({ type: 'ack', id: r.socket.last('auth').id, op: 'auth' });
  assert.deepEqual(r.socket.last('subscribe').resume, { X: { epoch: 'e1', seq: 10 } });
  assert.equal(log.length, 2);
});

test('without a key that does it stops, and goes on with one', (t) => {
  const r = rig(t);
  follow(r);
  const told = [];
  r.client.addEventListener('locked', ({ detail }) => told.push(detail.message));
  r.client.connect();
  r.socket.give(WELCOME);
  const first = r.socket;
  first.give(unauthorized({ id: r.socket.last('subscribe').id, message: 'sign in first' }));
  assert.equal(r.client.state, LinkState.LOCKED);
  assert.equal(first.closed, true);
  r.advance(60_000);
  r.client.retryNow();
  assert.equal(r.sockets.length, 1, 'it does not try without a key');

  r.client.signIn('wrong');
  r.socket.give(WELCOME);
  r.socket.give(unauthorized({ id: r.socket.last('auth').id, message: 'not valid' }));
  assert.equal(r.client.state, LinkState.LOCKED);
  assert.equal(r.socket.count('subscribe'), 0);

  r.client.signIn('right');
  r.socket.give(WELCOME);
  r.socket.give({ type: 'ack', id: r.socket.last('auth').id, op: 'auth' });
  assert.equal(r.client.state, LinkState.LIVE);
  assert.equal(r.socket.count('subscribe'), 1);
  r.socket.give(unauthorized({ message: 'has expired' }));
  assert.equal(r.client.state, LinkState.LOCKED);
  assert.deepEqual(told, ['sign in first', 'not valid', 'has expired']);
});

test('who is told to wait with signing in tries again later', (t) => {
  const r = rig(t, 'k');
  r.client.connect();
  r.socket.give(WELCOME);
  r.socket.give({ type: 'error', id: 1, code: 'rate_limited', message: 'later', retry_after: 3000 });
  assert.equal(r.client.state, LinkState.WAITING);
  assert.ok(r.client.retryAt - r.client.now() >= 3000);
  r.advance(4000);
  assert.equal(r.sockets.length, 2);
});

test('a sign-in without an answer is given up', (t) => {
  const r = rig(t, 'k');
  r.client.connect();
  r.socket.give(WELCOME);
  r.advance(10_000);
  assert.equal(r.client.state, LinkState.WAITING);
});

test('a subscription that begins or ends while signing in is asked for, or not, after it', (t) => {
  const r = rig(t, 'k');
  r.client.connect();
  r.socket.give(WELCOME);
  const { sub } = follow(r);
  follow(r, { channel: 'ticker', symbols: ['X'] });
  sub.close();
  r.client.ping();
  assert.deepEqual(r.socket.sent.map((m) => m.op), ['auth']);
  r.socket.give({ type: 'ack', id: 1, op: 'auth' });
  assert.deepEqual(r.socket.sent.map((m) => m.op), ['auth', 'subscribe', 'ping']);
});

test('a ping measures the round trip', (t) => {
  const r = rig(t);
  r.client.connect();
  r.socket.give(WELCOME);
  r.advance(40);
  r.socket.give({ type: 'pong', id: r.socket.last('ping').id, tx: 1 });
  assert.equal(r.client.roundTrip, 40);
});

test('fields are set, kept, and cleared by null', () => {
  const quote = applyFields({}, { type: 'snapshot', sid: 1, epoch: 'e', seq: 1, bid: '1', ask: '2', crossed: true, state: 'live' });
  assert.deepEqual(quote, { bid: '1', ask: '2', crossed: true, state: 'live' });
  applyFields(quote, { type: 'delta', sid: 1, seq: 2, prev: 1, n: 3, span: 10, bid: '1.5', crossed: null, merged: { bid: ['1', '2'] } });
  assert.deepEqual(quote, { bid: '1.5', ask: '2', state: 'live' });
});
