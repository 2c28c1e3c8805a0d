// Text that grows. Pieces are gathered and reach the document once a frame, at its end, as text.

import { grouped } from "./figures.js";
import { h, inert } from "./inert.js";

const BLOCK_CHARS = 2000; // a new piece lays out its own block, and not all of the text anew

export class Growing {
  #pending = "";
  #held = []; // beyond the cap: shown when asked for
  #heldChars = 0;
  #room;
  #lines;
  #node = null;
  #button = null;

  /** Of `element`. At most `chars` and `lines` are shown until a reader asks for all. */
  constructor(element, chars = Infinity, lines = Infinity) {
    this.element = element;
    this.#room = chars;
    this.#lines = lines;
    this.length = 0; // of what was added, as shown
  }

  add(text) {
    const shown = inert(text);
    this.length += shown.length;
    const fits = this.#fitting(shown);
    this.#pending += shown.slice(0, fits);
    if (fits < shown.length) {
      this.#held.push(shown.slice(fits));
      this.#heldChars += shown.length - fits;
    }
  }

  /** Brings the document up to date; says whether it changed. */
  flush() {
    if (this.#heldChars) this.#offerRest();
    if (!this.#pending) return false;
    this.#write(this.#pending);
    this.#pending = "";
    return true;
  }

  /** The stretch of the document between two places in the shown text. */
  range(from, to) {
    const range = new Range();
    const [first, last] = [this.#place(from), this.#place(to)];
    if (!first || !last) return null;
    range.setStart(...first);
    range.setEnd(...last);
    return range;
  }

  #fitting(text) {
    if (this.#room === Infinity) return text.length;
    if (this.#held.length) return 0;
    let fits = Math.min(text.length, this.#room);
    for (let end = text.indexOf("\n"); end >= 0 && end < fits; end = text.indexOf("\n", end + 1)) {
      if (--this.#lines <= 0) fits = end + 1;
    }
    this.#room -= fits;
    return fits;
  }

  #write(text) {
    if (!this.#node || (this.#node.length > BLOCK_CHARS && this.#node.data.endsWith("\n"))) {
      this.#node = document.createTextNode("");
      this.element.append(h("div", {}, this.#node));
    }
    let from = 0;
    while (this.#node.length + text.length - from > 2 * BLOCK_CHARS) {
      const end = text.indexOf("\n", Math.max(from, from + BLOCK_CHARS - this.#node.length)) + 1;
      if (!end || end === text.length) break;
      this.#node.appendData(text.slice(from, end));
      this.#node = document.createTextNode("");
      this.element.append(h("div", {}, this.#node));
      from = end;
    }
    this.#node.appendData(text.slice(from));
  }

  #offerRest() {
    if (!this.#button) {
      this.#button = h("button", { type: "button", class: "more", onclick: () => this.#showRest() });
      this.element.after(this.#button);
    }
    this.#button.textContent = `Show all (${grouped(this.length)} characters)`;
  }

  #showRest() {
    this.#button.remove();
    this.#button = null;
    this.#room = this.#lines = Infinity;
    this.#pending += this.#held.join("");
    this.#held = [];
    this.#heldChars = 0;
    this.flush();
    this.element.tabIndex = -1;
    this.element.focus();
  }

  #place(offset) {
    for (const block of this.element.children) {
      const node = block.firstChild;
      if (offset <= node.length) return [node, offset];
      offset -= node.length;
    }
    return null;
  }
}
