import assert from 'node:assert/strict';
import test from 'node:test';
import { Key, reason } from '../static/js/key.js';

/** A tab's storage. */
class Storage {
  #items = new Map();

  getItem(name) {
    return this.#items.get(name) ?? null;
  }

  setItem(name, value) {
    this.#items.set(name, value);
  }

  removeItem(name) {
    this.#items.delete(name);
  }
}

test('a key is kept for the tab, and shown in a header', () => {
  const storage = new Storage();
  const key = new Key(storage);
  assert.equal(key.value, '');
  assert.deepEqual(key.headers(), {});
  assert.equal(key.take('  qw_abc\n'), true);
  assert.deepEqual(new Key(storage).headers(), { Authorization: 'Bearer qw_abc' });
  key.forget();
  assert.equal(key.value, '');
  assert.equal(new Key(storage).value, '');
});

test('what no header could hold is no key', () => {
  const key = new Key(new Storage());
  for (const text of ['', '   ', 'two words', 'schlüssel', 'a\nb', 'x'.repeat(8193)]) {
    assert.equal(key.take(text), false, JSON.stringify(text));
  }
  assert.equal(key.value, '');
});

test('without a storage the key lasts as long as the page', () => {
  const refuses = () => {
    throw new Error('SecurityError');
  };
  for (const storage of [null, { getItem: refuses, setItem: refuses, removeItem: refuses }]) {
    const key = new Key(storage);
    assert.equal(key.take('k'), true);
    assert.equal(key.value, 'k');
    key.forget();
    assert.equal(key.value, '');
  }
});

test('the user is told why, in a sentence', () => {
  assert.match(reason({ message: 'a key is needed: as Authorization: Bearer KEY' }, false), /those who have a key\.$/);
  assert.equal(reason({ message: 'the key or token has expired' }, true), 'The key or token has expired.');
  assert.equal(reason({}, true), 'The server does not take this key.');
});
