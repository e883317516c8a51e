// The client side of quotewire.v1 over a WebSocket: requests and their acks,
// streams and their positions, reconnecting with resume. It knows nothing of the
// page.
//
//   const client = new Client(url);
//   client.addEventListener('state', () => …client.state…);
//   const sub = client.subscribe({channel: 'quote', symbols: ['*'], interval: '250ms'}, {
//     snapshot(stream, message) {…}, delta(stream, message) {…},
//   });
//   client.connect();
//   …
//   sub.close();
//
// A server that wants a key is shown client.token, by op auth and in no address.
// Where it has none, or one that does not do or has expired, the client stops,
// with the event 'locked', whose detail is the server's error, until signIn(token).
//
// Handlers, all optional, called in the order of the messages:
//   ack(stream)                granted terms are in stream.granted
//   snapshot(stream, message)  replaces what was known
//   delta(stream, message)     follows what was known
//   event(stream, message)     trade, bar, status: follows too
//   gap(stream, message)       events that will not come
//   error(error)               the server refused the subscription
// A handler of a snapshot or delta that returns false has found that its state
// does not match: the stream is asked for again.

export const SUBPROTOCOL = 'quotewire.v1.json';

/** State of a connection. Only LIVE means that what was received last is current. */
export const LinkState = Object.freeze({
  CLOSED: 'closed', // not started, or closed for good
  CONNECTING: 'connecting',
  LIVE: 'live',
  SILENT: 'silent', // open, but a heartbeat is overdue
  WAITING: 'waiting', // for the next attempt, at client.retryAt
  LOCKED: 'locked', // the server wants a key, or another one: waits for signIn
});

const BACKOFF = { first: 250, most: 10_000 }; // ms
const STABLE = 10_000; // ms after which a connection counts as good
const CONNECT_TIMEOUT = 10_000;
const RESYNC_TIMEOUT = 5_000;
const WATCH = 500; // ms between looks at the heartbeats
const DEFAULT_HEARTBEAT = 5_000;

export class Client extends EventTarget {
  /**
   * options, for tests: open(url) gives a WebSocket, now() a time in ms that only
   * grows, random() a number in [0, 1). options.token is a key or token to sign in
   * with.
   */
  constructor(url, options = {}) {
    super();
    this.url = url;
    this.token = options.token ?? '';
    this.state = LinkState.CLOSED;
    this.welcome = null;
    this.lag = 0; // ms behind, as the server's last heartbeat said
    this.widened = null; // interval, where the server had to widen it for us
    this.roundTrip = null; // ms, of the last ping
    this.retryAt = 0; // by now()
    this.lastMessage = 0; // by now(); 0 none
    this.stats = {
      messages: 0, bytes: 0, snapshots: 0, deltas: 0, events: 0, resyncs: 0, resumed: 0, gaps: 0,
      connects: 0, unreadable: 0, unknown: 0,
    };
    this.now = options.now ?? (() => performance.now());
    this.#open = options.open ?? ((address) => new WebSocket(address, [SUBPROTOCOL]));
    this.#random = options.random ?? Math.random;
  }

  #open;
  #random;
  #socket = null;
  #lastID = 0;
  #attempt = 0;
  #retryHint = 0;
  #entering = null; // the welcome, while the answer to op auth is awaited
  #liveSince = 0;
  #timer = null; // connect timeout or retry
  #watch = null;
  #subscriptions = new Set();
  #requests = new Map(); // id -> Subscription
  #pings = new Map(); // id -> sent at
  #streams = new Map(); // sid -> Stream

  /** Connects, and goes on doing so until close. */
  connect() {
    if (![LinkState.CLOSED, LinkState.WAITING, LinkState.LOCKED].includes(this.state)) return;
    clearTimeout(this.#timer);
    this.#setState(LinkState.CONNECTING);
    const socket = this.#open(this.url);
    this.#socket = socket;
    const mine = (handle) => (event) => {
      if (this.#socket === socket) handle(event);
    };
    socket.onmessage = mine((event) => this.#frame(event.data));
    socket.onclose = mine(() => this.#lost());
    socket.onerror = () => {}; // a close follows, which says no less
    this.#timer = setTimeout(mine(() => this.#abandon()), CONNECT_TIMEOUT);
  }

  /** Ends the connection for good. Subscriptions stay, for a later connect. */
  close() {
    const socket = this.#socket;
    this.#drop();
    socket?.close(1000);
    this.#setState(LinkState.CLOSED);
  }

  /** Connects with a key or token, from now on. */
  signIn(token) {
    this.close();
    this.token = token;
    this.#attempt = 0;
    this.connect();
  }

  /** Stops until signIn: the server, here or elsewhere, said by error that it wants a key. */
  lock(error) {
    const socket = this.#socket;
    this.#drop();
    socket?.close(1000);
    this.#setState(LinkState.LOCKED);
    this.dispatchEvent(new CustomEvent('locked', { detail: error }));
  }

  /** Does not wait any longer for the next attempt. */
  retryNow() {
    if (this.state === LinkState.WAITING) this.connect();
  }

  /** Subscribes, now and after each reconnect. The request is one without op and id. */
  subscribe(request, handlers) {
    const sub = new Subscription(this, request, handlers);
    this.#subscriptions.add(sub);
    if (this.#socket && this.welcome) this.#request(sub);
    return sub;
  }

  /** Measures the round trip. */
  ping() {
    if (!this.welcome) return;
    const id = ++this.#lastID;
    this.#pings.set(id, this.now());
    this.#send({ op: 'ping', id });
  }

  /** For Subscription.close. */
  _unsubscribe(sub) {
    if (!this.#subscriptions.delete(sub)) return;
    this.#requests.delete(sub.id);
    for (const stream of sub.streams.values()) this.#streams.delete(stream.sid);
    if (this.welcome && sub.id) {
      const { channel, symbols, venue, depth, interval } = sub.request;
      this.#send({ op: 'unsubscribe', id: ++this.#lastID, channel, symbols, venue, depth, interval });
    }
  }

  #request(sub) {
    this.#requests.delete(sub.id);
    sub.id = ++this.#lastID;
    this.#requests.set(sub.id, sub);
    this.#send({ op: 'subscribe', id: sub.id, ...sub.request, resume: sub._positions() });
  }

  #send(request) {
    this.#socket?.send(JSON.stringify(request));
  }

  #frame(data) {
    this.lastMessage = this.now();
    this.stats.bytes += data.length;
    if (this.state === LinkState.SILENT) this.#setState(LinkState.LIVE);
    for (const line of data.split('\n')) {
      if (line === '') continue;
      let message;
      try {
        message = JSON.parse(line);
      } catch {
        this.stats.unreadable++;
        continue;
      }
      this.stats.messages++;
      this.#message(message);
    }
  }

  #message(message) {
    switch (message.type) {
      case 'welcome': return this.#welcomed(message);
      case 'ack': return this.#acked(message);
      case 'snapshot': return this.#snapshot(message);
      case 'delta': return this.#follow(message, 'delta');
      case 'trade': case 'bar': case 'status': return this.#follow(message, 'event');
      case 'gap': return this.#gap(message);
      case 'heartbeat':
        this.lag = message.lag;
        this.widened = message.interval ?? null;
        return undefined;
      case 'pong': return this.#pong(message);
      case 'error': return this.#refused(message);
      default:
        this.stats.unknown++; // newer than this client
        return undefined;
    }
  }

  #welcomed(message) {
    if (this.token === '') {
      this.#begin(message);
      return;
    }
    // The timer goes on: an answer that does not come ends the connection too.
    this.#entering = message;
    this.#send({ op: 'auth', id: ++this.#lastID, token: this.token });
  }

  #begin(welcome) {
    clearTimeout(this.#timer);
    this.#entering = null;
    this.welcome = welcome;
    this.#liveSince = this.now();
    this.#retryHint = 0;
    this.stats.connects++;
    this.#setState(LinkState.LIVE);
    for (const sub of this.#subscriptions) this.#request(sub);
    clearInterval(this.#watch);
    this.#watch = setInterval(() => this.#look(), WATCH);
    this.ping();
  }

  #acked(message) {
    if (message.op === 'auth' && this.#entering) {
      this.#begin(this.#entering);
      return;
    }
    const sub = this.#requests.get(message.id);
    if (!sub || message.op !== 'subscribe') return;
    for (const granted of message.streams ?? []) {
      const stream = sub._granted(granted);
      this.#streams.set(granted.sid, stream);
      sub.handlers.ack?.(stream);
    }
  }

  #snapshot(message) {
    const stream = this.#streams.get(message.sid);
    if (!stream) return; // of a subscription that ended
    this.stats.snapshots++;
    stream.epoch = message.epoch;
    stream.seq = message.seq;
    stream.current = true;
    stream.resuming = stream.jumped = false;
    if (stream.subscription.handlers.snapshot?.(stream, message) === false) this.#resync(stream);
  }

  #follow(message, kind) {
    const stream = this.#streams.get(message.sid);
    if (!stream?.current) return; // ended, or waiting for a snapshot
    if (message.prev !== undefined && message.prev !== stream.seq && !stream.jumped) {
      this.#resync(stream);
      return;
    }
    if (stream.resuming) this.stats.resumed++;
    stream.resuming = stream.jumped = false;
    if (message.seq !== undefined) stream.seq = message.seq;
    this.stats[kind === 'delta' ? 'deltas' : 'events']++;
    if (stream.subscription.handlers[kind]?.(stream, message) === false) this.#resync(stream);
  }

  #gap(message) {
    const stream = this.#streams.get(message.sid);
    if (!stream) return;
    this.stats.gaps++;
    stream.seq = message.to;
    stream.jumped = true;
    stream.subscription.handlers.gap?.(stream, message);
  }

  #pong(message) {
    const sent = this.#pings.get(message.id);
    if (sent === undefined) return;
    this.#pings.delete(message.id);
    this.roundTrip = this.now() - sent;
  }

  #refused(error) {
    if (error.code === 'unauthorized') {
      this.lock(error);
      return;
    }
    if (error.retry_after > 0) this.#retryHint = error.retry_after;
    if (this.#entering && error.id !== undefined) {
      this.#abandon(); // it may sign in later: too many have tried from here
      return;
    }
    this.#requests.get(error.id)?.handlers.error?.(error);
    this.dispatchEvent(new CustomEvent('refused', { detail: error }));
  }

  #resync(stream) {
    this.stats.resyncs++;
    stream.current = false;
    stream.resuming = stream.jumped = false;
    this.#askAgain(stream);
  }

  #askAgain(stream) {
    stream.askedAt = this.now();
    this.#send({ op: 'resync', id: ++this.#lastID, sid: stream.sid });
  }

  /** Sees silence, and snapshots that were asked for and did not come. */
  #look() {
    const now = this.now();
    const heartbeat = this.welcome?.heartbeat || DEFAULT_HEARTBEAT;
    const silence = now - this.lastMessage;
    if (silence > 2.5 * heartbeat) {
      this.#abandon();
      return;
    }
    if (silence > 1.5 * heartbeat && this.state === LinkState.LIVE) this.#setState(LinkState.SILENT);
    if (now - this.#liveSince > STABLE) this.#attempt = 0;
    for (const stream of this.#streams.values()) {
      if (!stream.current && stream.askedAt && now - stream.askedAt > RESYNC_TIMEOUT) this.#askAgain(stream);
    }
  }

  /** Gives up a socket that does not answer, without waiting for its close. */
  #abandon() {
    const socket = this.#socket;
    this.#lost();
    socket?.close();
  }

  #lost() {
    this.#drop();
    const bound = Math.min(BACKOFF.most, BACKOFF.first * 2 ** this.#attempt++);
    // Never at once, and never all clients of a server together.
    const delay = Math.max(this.#retryHint, bound / 2) + (this.#random() * bound) / 2;
    this.retryAt = this.now() + delay;
    this.#setState(LinkState.WAITING);
    this.#timer = setTimeout(() => this.connect(), delay);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket = null;
    this.#entering = null;
    this.welcome = null;
    this.roundTrip = null;
    this.#streams.clear();
    this.#requests.clear();
    this.#pings.clear();
  }

  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }
}

/** What was subscribed with one request: a stream for each symbol. */
export class Subscription {
  constructor(client, request, handlers) {
    this.request = request;
    this.handlers = handlers;
    this.id = 0; // of the latest request
    this.streams = new Map(); // symbol -> Stream
    this.#client = client;
  }

  #client;

  close() {
    this.#client._unsubscribe(this);
  }

  /** Where each stream that is intact stands, or undefined. */
  _positions() {
    let resume;
    for (const stream of this.streams.values()) {
      if (!stream.current) continue;
      resume ??= {};
      resume[stream.symbol] = { epoch: stream.epoch, seq: stream.seq };
      stream.resuming = true;
    }
    return resume;
  }

  _granted(granted) {
    let stream = this.streams.get(granted.symbol);
    if (!stream) {
      stream = new Stream(this, granted);
      this.streams.set(granted.symbol, stream);
    }
    stream.sid = granted.sid;
    stream.granted = granted;
    stream.askedAt = 0;
    return stream;
  }
}

/** One symbol's stream and how far it was followed. */
class Stream {
  constructor(subscription, granted) {
    this.subscription = subscription;
    this.symbol = granted.symbol;
    this.channel = granted.channel;
    this.sid = 0; // the server's number for it, on this connection
    this.granted = granted;
    this.epoch = '';
    this.seq = 0;
    this.current = false; // a snapshot was received and everything since
    this.resuming = false; // reconnected; what comes next shows whether the resume held
    this.jumped = false; // a gap was announced: the next message need not follow
    this.askedAt = 0; // when a resync was asked for
  }
}

const ENVELOPE = new Set(['type', 'sid', 'channel', 'symbol', 'venue', 'epoch', 'seq', 'prev', 'n', 'span', 'crc', 'merged']);

/**
 * Applies the fields of a quote or ticker message to what is known: those that
 * are there are set, null clears, the others stay. A snapshot starts from {}.
 */
export function applyFields(target, message) {
  for (const [name, value] of Object.entries(message)) {
    if (ENVELOPE.has(name)) continue;
    if (value === null) delete target[name];
    else target[name] = value;
  }
  return target;
}
