// Recent completions, newest first, to open again.

import { h, oneLine } from "./inert.js";
import { agoWords, seconds } from "./figures.js";

const SHOWN = 50;
const BUSY_MS = 3000;
const IDLE_MS = 30_000;
const SOON_MS = 100; // after the frames in which a completion begins or ends: those have enough to do

export class Recent {
  #entries = new Map(); // by id: {element, told}
  #timer = 0;

  constructor(list, api) {
    Object.assign(this, { list, api, open: [] });
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  /** Which completions are shown elsewhere on the page. */
  mark(ids) {
    this.open = ids;
    for (const [id, { link }] of this.#entries) this.#markOne(id, link);
  }

  /** Asks the gateway; later again, sooner where one runs. */
  async refresh() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    let running = false;
    try {
      const { completions } = await this.api.json(`/v1/completions?limit=${SHOWN}`);
      this.#show(completions);
      running = completions.some(({ state }) => state === "running");
    } catch (error) {
      this.#say(error.message);
    }
    if (this.#timer) return; // somebody has wanted it again, and sooner
    if (!document.hidden) this.#timer = setTimeout(() => this.refresh(), running ? BUSY_MS : IDLE_MS);
  }

  refreshSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), SOON_MS);
  }

  #show(completions) {
    if (!completions.length) return this.#say("None yet.");
    const ids = new Set(completions.map(({ id }) => id));
    for (const child of [...this.list.children]) if (!ids.has(child.dataset.id)) child.remove();
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#entries.delete(id);
    completions.forEach((completion, place) => {
      const { element } = this.#entryOf(completion);
      if (this.list.children[place] !== element) this.list.insertBefore(element, this.list.children[place] ?? null);
    });
  }

  #entryOf(completion) {
    let entry = this.#entries.get(completion.id);
    if (!entry) {
      const link = h("a", { href: `#${encodeURIComponent(completion.id)}` });
      entry = { link, element: h("li", { "data-id": completion.id }, link), told: "" };
      this.#entries.set(completion.id, entry);
      this.#markOne(completion.id, link);
    }
    const words = wordsOf(completion);
    const state = completion.ledger ? "finished" : completion.state; // it is said to have ended a moment later
    const told = [state, ...words].join("\n");
    if (entry.told !== told) {
      const [prompt, ...facts] = words;
      entry.told = told;
      entry.link.dataset.state = state;
      entry.link.replaceChildren(h("bdi", {}, prompt), h("small", {}, facts.join(" · ")));
    }
    return entry;
  }

  #markOne(id, link) {
    if (this.open.includes(id)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }

  #say(text) {
    this.#entries.clear();
    this.list.replaceChildren(h("li", { class: "note" }, oneLine(text)));
  }
}

function wordsOf({ prompt, state, mode, begun_at: begun, ledger, error }) {
  const isStopped = error?.code === "cancelled"; // as whoever stopped it wanted
  const took = ledger ? seconds(ledger.completion_seconds) : isStopped ? "stopped" : state;
  const cause = error && !isStopped ? oneLine(error.code, 30) : "";
  const facts = [took, (mode || "").replace("_", " "), cause, agoWords(begun)];
  return [oneLine(prompt, 120) || "(empty)", ...facts.filter(Boolean)];
}
