// Run by TestGuardedServer with the address of a server that wants the key "right":
// the page's own modules over a real socket.

import assert from 'node:assert/strict';
import { Key } from '../static/js/key.js';
import { Client, LinkState } from '../static/js/protocol.js';

const address = process.argv[2];
const key = new Key(null);
const client = new Client(`${address.replace('http', 'ws')}/v1/stream`);
const once = (name) => new Promise((resolve) => client.addEventListener(name, (event) => resolve(event.detail), { once: true }));
const page = async () => (await fetch(`${address}/v1/symbols`, { headers: key.headers() })).status;

const quote = new Promise((resolve) => {
  client.subscribe({ channel: 'quote', symbols: ['*'] }, { snapshot: (stream, message) => resolve([stream.symbol, message.bid]) });
});

let locked = once('locked');
client.connect();
assert.equal((await locked).code, 'unauthorized');
assert.equal(client.state, LinkState.LOCKED);
assert.equal(await page(), 401);

locked = once('locked');
key.take('wrong');
client.signIn(key.value);
assert.match((await locked).message, /not valid/);
assert.equal(await page(), 401);

key.take('right');
client.signIn(key.value);
assert.deepEqual(await quote, ['BTC-USD', '99.9']);
assert.equal(client.state, LinkState.LIVE);
assert.equal(await page(), 200);

locked = once('locked');
console.log('live'); // then the key is taken back
assert.equal((await locked).code, 'unauthorized');
assert.equal(client.state, LinkState.LOCKED);
console.log('locked');
