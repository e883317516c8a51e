// The key that the server is shown: kept for this tab's session, sent in a header
// or in a message, never in an address, which servers and proxies write down.

const NAME = 'quotewire.key';

export class Key {
  /** storage is the tab's sessionStorage; null where the browser refuses one. */
  constructor(storage) {
    this.#storage = storage;
    try {
      this.value = storage?.getItem(NAME) ?? '';
    } catch {
      this.#storage = null;
    }
  }

  #storage;
  value = '';

  /** Takes what a user typed. False if it cannot be a key: a header could not hold it. */
  take(text) {
    const value = text.trim();
    if (!/^[!-~]{1,8192}$/.test(value)) return false;
    this.value = value;
    try {
      this.#storage?.setItem(NAME, value);
    } catch {
      // It is kept as long as the page.
    }
    return true;
  }

  forget() {
    this.value = '';
    try {
      this.#storage?.removeItem(NAME);
    } catch {
      // There was none.
    }
  }

  /** The headers of a request. */
  headers() {
    return this.value === '' ? {} : { Authorization: `Bearer ${this.value}` };
  }
}

/** What to tell a user whom the server let in no further. shown: there was a key. */
export function reason(error, shown) {
  if (!shown) return 'This server shows its data to those who have a key.';
  const text = error?.message || 'The server does not take this key.';
  return text[0].toUpperCase() + text.slice(1).replace(/[^.]$/, '$&.');
}
