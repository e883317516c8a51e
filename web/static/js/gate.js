// The form that asks for the key.

import { setAttr, setText } from './dom.js';

/** use(text) returns false for what cannot be one. */
export class Gate {
  constructor(root, use) {
    this.#root = root;
    this.#reason = root.querySelector('p');
    this.#input = root.querySelector('input');
    root.addEventListener('submit', (event) => {
      event.preventDefault();
      if (use(this.#input.value)) {
        this.#input.value = '';
      } else {
        this.show('That cannot be a key: it is one word of letters, digits and signs.', true);
      }
    });
  }

  #root;
  #reason;
  #input;

  /** wrong: the user has tried already. */
  show(text, wrong) {
    setText(this.#reason, text);
    setAttr(this.#reason, 'data-tone', wrong ? 'down' : null);
    this.#root.hidden = false;
    this.#input.focus();
  }

  hide() {
    this.#root.hidden = true;
  }
}
