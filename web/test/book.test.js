import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { Book, digits } from '../static/js/book.js';
import { compare } from '../static/js/format.js';
import { crc32 } from '../static/js/crc32.js';

const fixture = (name) => new URL(`../../testdata/wire/${name}`, import.meta.url);

test('crc32 has the check value of its definition', () => {
  assert.equal(crc32('123456789'), 0xcbf43926);
  assert.equal(crc32(''), 0);
});

test('digits drop the point and leading zeros', () => {
  for (const [text, want] of [['64210.1', '642101'], ['0.052', '52'], ['0', ''], ['100', '100'], ['-0.05', '-5'], ['0.00000123', '123']]) {
    assert.equal(digits(text), want, text);
  }
});

test('checksums equal those of the shared fixtures', { skip: !existsSync(fixture('crc.json')) && 'testdata/wire/crc.json is not there' }, () => {
  const cases = JSON.parse(readFileSync(fixture('crc.json'), 'utf8'));
  assert.ok(cases.length > 5);
  for (const { name, bids, asks, crc, text } of cases) {
    const book = new Book();
    assert.equal(book.snapshot({ bids, asks, crc }), true, name);
    assert.equal(book.checksum(), crc, name);
    assert.equal(crc32(text), crc, name);
  }
});

test('the book messages of the shared fixtures verify', { skip: !existsSync(fixture('messages.json')) && 'testdata/wire/messages.json is not there' }, () => {
  const messages = JSON.parse(readFileSync(fixture('messages.json'), 'utf8')).filter((m) => m.sid === 12 && m.crc !== undefined);
  assert.equal(messages.length, 2);
  const book = new Book(10);
  assert.equal(book.snapshot(messages[0]), true);
  assert.equal(book.delta(messages[1]), true);
  assert.deepEqual(book.bids.map((l) => l.price), ['64209']);
  assert.equal(book.verified, 2);
});

test('a wrong checksum ends trust until the next snapshot', () => {
  const book = new Book();
  assert.equal(book.snapshot({ bids: [['100', '1']], asks: [['101', '1']] }), true);
  assert.equal(book.delta({ bids: [['100', '2']], crc: 1 }), false);
  assert.equal(book.mismatches, 1);
  assert.equal(book.intact, false);
  assert.equal(book.delta({ bids: [['100', '3']] }), false, 'a delta on a book that came apart');
  assert.equal(book.snapshot({ bids: [['100', '3']], asks: [] }), true);
  assert.equal(book.intact, true);
});

test('levels are set, replaced and removed in order; depth bounds them', () => {
  const book = new Book(3);
  book.snapshot({ bids: [['10', '1'], ['9', '1'], ['8', '1']], asks: [['11', '1'], ['11.5', '1']] });
  book.delta({ bids: [['9.5', '2'], ['7', '5'], ['10', '0']], asks: [['11.25', '3', { kraken: '1', coinbase: '2' }], ['99', '0']] });
  assert.deepEqual(book.bids.map((l) => [l.price, l.size]), [['9.5', '2'], ['9', '1'], ['8', '1']]);
  assert.deepEqual(book.asks.map((l) => l.price), ['11', '11.25', '11.5']);
  assert.deepEqual(book.asks[1].venues, { kraken: '1', coinbase: '2' });
});

test('any run of deltas equals a plain map', () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const book = new Book(0);
  book.snapshot({ bids: [], asks: [] });
  const model = { bids: new Map(), asks: new Map() };
  for (let step = 0; step < 2000; step++) {
    const side = random(2) ? 'bids' : 'asks';
    const whole = String(random(40));
    const cents = random(3);
    const price = cents ? `${whole}.${['', '5', '05'][cents]}` : whole;
    const size = random(3) ? String(1 + random(9)) : '0';
    if (size === '0') model[side].delete(price);
    else model[side].set(price, size);
    book.delta({ [side]: [[price, size]] });
  }
  for (const [side, sign] of [['bids', -1], ['asks', 1]]) {
    const want = [...model[side]].sort((a, b) => compare(a[0], b[0]) * sign);
    assert.deepEqual(book[side].map((l) => [l.price, l.size]), want);
  }
});
