// The text of a completion's turns, and a card for each of its calls.

import { grouped, seconds } from "./figures.js";
import { Growing } from "./growing.js";
import { h, inert, oneLine } from "./inert.js";

const OUTPUT_CHARS = 4000;
const OUTPUT_LINES = 24;
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]); // rasters; SVG is a program
const REASONS = { stop: "", length: "stopped at the token limit", veto: "stopped by a tool" };

export class Transcript {
  texts = h("div", { class: "texts" });
  cards = h("div", { class: "cards" });
  #turns = [];
  #calls = new Map();
  #growing = new Set(); // those that have something to bring
  #urls = [];

  /** `decide(callId, approved, reason)` resolves when the gateway has heard it. */
  constructor(record, decide) {
    this.record = record;
    this.decide = decide;
  }

  /** Takes an event that `record` has taken. */
  apply(kind, data) {
    if (kind === "text_delta") this.#turn().add(data.text, this.#growing);
    else if (kind === "turn_started") this.#turn();
    else if (kind === "turn_decoded") this.#turn().note(REASONS[data.finish_reason] ?? "");
    else if (kind === "turn_vetoed") this.#turn().veto(this.record.calls.get(data.call_id), data.reason);
    else if (kind === "call_opened") this.#open(this.record.calls.get(data.call_id));
    else this.#calls.get(data.call_id)?.apply(kind, data, this.#growing);
    if (this.record.over) for (const card of this.#calls.values()) card.refresh();
  }

  /** Brings the document up to date, once a frame; says whether it changed. */
  flush() {
    if (!this.#growing.size) return false;
    for (const growing of this.#growing) growing.flush();
    this.#growing.clear();
    return true;
  }

  /** What of the text made a unit of work possible, as a stretch of the document. */
  rangeOf(call, unit) {
    const isNamed = unit.begins === unit.offset && unit.offset === call.offset; // its name is what began it
    const begins = isNamed ? unit.offset - [...call.name].length : unit.begins;
    if (begins === unit.offset) return null;
    return this.#turns[this.record.turns.indexOf(call.turn)]?.range(call.turn, begins, unit.offset);
  }

  /** Where the card of a call is. */
  cardOf(call) {
    return this.#calls.get(call.id)?.element;
  }

  /** What the model said, a text for each turn, as it came. */
  said() {
    return this.#turns.map((turn) => turn.raw);
  }

  close() {
    this.#urls.forEach(URL.revokeObjectURL);
  }

  #turn() {
    const wanted = Math.max(1, this.record.turns.length);
    while (this.#turns.length < wanted) {
      const turn = new TurnText(this.#turns.length);
      this.#turns.push(turn);
      this.texts.append(turn.element);
    }
    return this.#turns[wanted - 1];
  }

  #open(call) {
    if (!call || this.#calls.has(call.id)) return;
    const card = new Card(call, this.decide, (url) => this.#urls.push(url));
    this.#calls.set(call.id, card);
    this.cards.append(card.element);
  }
}

class TurnText {
  raw = "";
  #ends = []; // of the shown text after each piece; the twin of the turn's `lengths`

  constructor(number) {
    this.body = h("pre", { dir: "auto" });
    this.text = new Growing(this.body);
    this.said = h("span", { class: "note" });
    this.element = h("section", { class: "turn" }, h("h3", {}, `Turn ${number + 1}`, this.said), this.body);
  }

  add(text, growing) {
    this.raw += text;
    this.text.add(text);
    this.#ends.push(this.text.length);
    growing.add(this.text);
  }

  note(text) {
    if (text && !this.said.textContent) this.said.textContent = text;
  }

  veto(call, reason) {
    this.said.textContent = "stopped by a tool";
    const who = h("b", {}, `${call?.label ?? "A call"} stopped the turn: `);
    this.element.append(h("p", { class: "veto" }, who, inert(reason)));
  }

  range(turn, from, to) {
    return this.text.range(this.#shown(turn, from), this.#shown(turn, to));
  }

  #shown(turn, offset) {
    const { lengths } = turn;
    let [low, high] = [0, lengths.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lengths[middle] < offset) low = middle + 1;
      else high = middle;
    }
    if (low === lengths.length) return this.text.length;
    const before = low ? lengths[low - 1] : 0;
    return Math.min(this.#ends[low], (low ? this.#ends[low - 1] : 0) + Math.max(0, offset - before));
  }
}

class Card {
  #arguments = new Map(); // by name
  #output = null;
  #printed = "";
  #question = null;

  constructor(call, decide, keepUrl) {
    Object.assign(this, { call, decide, keepUrl });
    this.phase = h("span", { class: "phase" });
    this.time = h("span", { class: "time" });
    this.written = h("dl", { class: "arguments" });
    this.came = h("div", { class: "came" });
    const title = h("h3", {}, h("bdi", {}, call.label), this.phase, this.time);
    const attributes = { class: `card depth-${Math.min(3, call.depth)}`, "aria-label": `Call ${call.label}` };
    this.element = h("article", attributes, title, this.written, this.came);
    this.refresh();
  }

  apply(kind, data, growing) {
    if (kind === "arguments_delta") this.#write(data, growing);
    else if (kind === "call_output") this.#print(data.text, growing);
    else if (kind === "call_artifact") this.came.append(this.#artifact(data));
    else if (kind === "approval_awaited") this.#ask(data);
    else if (kind === "call_finished") this.#finish(data, growing);
    this.refresh();
  }

  refresh() {
    const { call } = this;
    if (this.element.dataset.phase === call.phase) return;
    if (call.phase !== "awaiting") this.#question?.remove();
    this.element.dataset.phase = call.phase;
    this.phase.textContent = call.phase === "awaiting" ? "waits for you" : call.phase;
    this.time.textContent = call.over && call.phase !== "stopped" ? seconds(call.busy) : "";
  }

  #write({ argument, text, value_json: value }, growing) {
    if (!this.#arguments.has(argument)) this.#arguments.set(argument, this.#entry(argument));
    this.#arguments.get(argument).add(text || value || "");
    growing.add(this.#arguments.get(argument));
  }

  #entry(name) {
    const body = h("pre", { dir: "auto" });
    this.written.append(h("dt", {}, h("bdi", {}, oneLine(name, 60))), h("dd", {}, body));
    return new Growing(body, OUTPUT_CHARS, OUTPUT_LINES);
  }

  #print(text, growing) {
    if (!this.#output) {
      const body = h("pre", { class: "output", dir: "auto" });
      this.came.append(h("h4", {}, "Output"), h("div", {}, body));
      this.#output = new Growing(body, OUTPUT_CHARS, OUTPUT_LINES);
    }
    this.#printed += text;
    this.#output.add(text);
    growing.add(this.#output);
  }

  #finish(data, growing) {
    if (!this.#arguments.size && data.arguments_json) this.#whole(data.arguments_json, growing);
    if (data.error) this.#outcome(`Error ${oneLine(data.error.code, 40)}`, data.error.message, "error", growing);
    else if (data.handed_over) this.came.append(h("p", { class: "note" }, "The client is to run it."));
    else if ((data.result ?? "").trimEnd() !== this.#printed.trimEnd()) {
      this.#outcome("Result", data.result ?? "", "result", growing);
    }
    this.#printed = "";
  }

  #outcome(title, text, kind, growing) {
    const body = h("pre", { class: kind, dir: "auto" });
    this.came.append(h("h4", { class: kind === "error" && kind }, title), h("div", {}, body));
    const outcome = new Growing(body, OUTPUT_CHARS, OUTPUT_LINES);
    outcome.add(text);
    growing.add(outcome);
  }

  #whole(json, growing) {
    let all;
    try {
      all = Object.entries(JSON.parse(json));
    } catch {
      all = [["arguments", json]];
    }
    for (const [argument, value] of all) {
      this.#write({ argument, text: typeof value === "string" ? value : JSON.stringify(value) }, growing);
    }
  }

  #artifact({ name, media_type: type, data }) {
    const shown = oneLine(name, 80);
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const isPicture = PICTURES.has(type);
    const url = URL.createObjectURL(new Blob([bytes], { type: isPicture ? type : "application/octet-stream" }));
    this.keepUrl(url);
    const size = `${grouped(Math.max(1, Math.round(bytes.length / 1024)))} kB`;
    const link = h("a", { href: url, download: shown.replace(/[/\\]/g, "_") }, h("bdi", {}, shown));
    const caption = h("figcaption", {}, link, ` ${oneLine(type, 60)}, ${size}`);
    const picture = isPicture ? h("img", { src: url, alt: `Picture ${shown}`, decoding: "async" }) : null;
    return h("figure", {}, picture, caption);
  }

  #ask(data) {
    const label = "Reason, for the model (if refused)";
    const reason = h("input", { type: "text", maxlength: 1000, placeholder: label, "aria-label": label });
    const said = h("p", { class: "note", role: "status" });
    const buttons = [true, false].map((approved) => {
      const onclick = () => this.#answer(approved, reason.value, said, buttons);
      return h("button", { type: "button", onclick }, approved ? "Allow" : "Refuse");
    });
    this.#question = h("div", { class: "question" });
    const asked = h("pre", { dir: "auto" });
    this.#question.append(
      h("p", {}, h("b", {}, `May ${this.call.label} do this?`)),
      h("div", {}, asked),
      h("div", { class: "answers" }, ...buttons, reason),
      said,
    );
    const text = new Growing(asked, OUTPUT_CHARS, OUTPUT_LINES);
    text.add(data.arguments_json);
    text.flush();
    this.written.after(this.#question);
  }

  async #answer(approved, reason, said, buttons) {
    buttons.forEach((button) => (button.disabled = true));
    try {
      await this.decide(this.call.id, approved, approved ? "" : reason);
      said.textContent = approved ? "Allowed." : "Refused.";
    } catch (error) {
      said.textContent = inert(error.message);
      buttons.forEach((button) => (button.disabled = false));
    }
  }
}
