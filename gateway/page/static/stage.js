// What is shown of the completions that the address names, once a frame: text and calls, figures, timeline.

import { seconds } from "./figures.js";
import { $, h, inert, oneLine } from "./inert.js";
import { Run } from "./run.js";
import { tableOf } from "./table.js";
import { Timeline } from "./timeline.js";
import { ledgerWords, nameOf, progressWords, savingWords, steadinessWords } from "./words.js";

const CLOCK_MS = 100;
const HIDDEN_MS = 500; // between updates that nobody sees
const AT_END = 24; // pixels
const CUT = "It was too long to keep all of it: text and output are missing.";
const FIGURES = { // what other ways would have taken is reckoned from this one; Compare measures it
  took: "completion", decoding: "decode",
  tools: "tool", hidden: "hidden",
  "serial, estimated": "serial", "ideal, estimated": "ideal", // a run in serial is measured: it is what that took
};

export class Stage {
  runs = [];
  #shown = 0; // whose text and calls
  #cancel = null; // the frame that was asked for
  #did = ""; // the last frame: text, marks, news
  #panes = ["texts", "calls"].map((id) => new Pane($(id).parentElement));
  #timeline = new Timeline($("timeline"), (...pointed) => this.#highlight(...pointed));
  #states = "";
  #clockMs = 0;
  #over = false;

  /** `ended` is told when everything that is shown has ended. */
  constructor(api, ended) {
    Object.assign(this, { api, ended });
    $("table").addEventListener("toggle", () => this.#tabulate());
    document.addEventListener("visibilitychange", () => this.#askAnew());
  }

  run(id, request) {
    const hear = {
      changed: () => this.#ask(),
      lost: (waitMs) => this.#tellLost(waitMs),
    };
    return new Run(this.api, id, request, hear);
  }

  get shown() {
    return this.runs[this.#shown];
  }

  /** Shows these completions, one or two, and of their texts that of number `focus`. */
  show(runs, focus = 0) {
    this.runs.filter((run) => !runs.includes(run)).forEach((run) => run.close());
    this.runs = runs;
    this.#over = false;
    $("completion").hidden = !runs.length;
    $("empty").hidden = runs.length > 0;
    $("table").open = false;
    this.#tellLost(null);
    if (!runs.length) {
      document.title = "Conveyor";
      say("");
    }
    this.#timeline.show(runs.map(({ record }) => record));
    $("which").replaceChildren(...(runs.length > 1 ? runs.map((run, place) => this.#tab(run, place)) : []));
    this.#turnTo(focus);
  }

  /** From the beginning of what is shown, as a reader wants it. */
  rewind() {
    this.#write(); // else there is nothing to stay at the beginning of
    for (const pane of this.#panes) pane.rewind();
  }

  #tab({ record }, place) {
    return h("button", { type: "button", onclick: () => this.#turnTo(place) }, nameOf(record));
  }

  #turnTo(place) {
    this.#shown = place;
    if (!this.shown) return;
    $("texts").replaceChildren(this.shown.transcript.texts);
    $("calls").replaceChildren(this.shown.transcript.cards);
    [...$("which").children].forEach((tab, number) => tab.setAttribute("aria-pressed", number === place));
    for (const pane of this.#panes) pane.follows = true;
    this.#states = this.#did = "";
    this.#tell();
    this.#ask();
  }

  #ask() {
    if (this.#cancel) return;
    const draw = () => this.#draw();
    const place = document.hidden ? setTimeout(draw, HIDDEN_MS) : requestAnimationFrame(draw);
    this.#cancel = document.hidden ? () => clearTimeout(place) : () => cancelAnimationFrame(place);
  }

  /** Whoever hides a page gives it no frames, and a page that is shown should not wait for a timer. */
  #askAnew() {
    if (!this.#cancel) return;
    this.#cancel();
    this.#cancel = null;
    this.#ask();
  }

  /** One frame: what has come, and of what it changes one thing, so that none takes long. */
  #draw() {
    this.#cancel = null;
    if (!this.runs.length) return;
    for (const run of this.runs) run.drain();
    const isRunning = this.runs.some(({ record }) => !record.over);
    this.#did = isRunning ? this.#takeTurns() : this.#finish();
    this.#timeline.moveNeedle();
    if (isRunning || this.#did) this.#ask();
  }

  /** Text and marks in turns, and news between them. */
  #takeTurns() {
    if (this.#did === "text" && this.#tell()) return "news";
    if (this.#did !== "marks" && this.#timeline.draw()) return "marks";
    if (performance.now() - this.#clockMs >= CLOCK_MS) this.#tellTime(this.shown.record);
    this.#write();
    return "text";
  }

  /** All has come: it is said to be over when it is there to be seen. */
  #finish() {
    if (this.#write()) return "text";
    if (this.#timeline.draw()) return "marks";
    return this.#tell() ? "news" : "";
  }

  /** Brings texts and calls up to date; says whether what is shown has changed. */
  #write() {
    const isGrown = this.runs.map((run) => run.transcript.flush())[this.#shown];
    if (isGrown) for (const pane of this.#panes) pane.toEnd(); // last, for it has to be measured
    return isGrown;
  }

  // --- in words ----------------------------------------------------------------------------------------------------

  /** Says whether there was news to tell. */
  #tell() {
    const { record } = this.shown;
    const waiting = this.runs.map((run) => run.record.waiting()?.label).filter(Boolean).join(", ");
    const states = [waiting, ...this.runs.map((run) => stateOf(run.record))].join();
    if (states === this.#states) return false;
    this.#tellTime(record);
    this.#states = states;
    say(waiting ? `${waiting} waits for you to allow it.` : "Running.");
    this.#tellHead(record);
    this.#tellEnd(record);
    return true;
  }

  #tellTime(record) {
    this.#clockMs = performance.now();
    $("clock").textContent = seconds(record.now());
    if (!record.over) put("words", progressWords(record)); // where the ledger will be: nothing moves when it comes
  }

  #tellHead(record) {
    const state = stateOf(record);
    const { messages = [], tool_use: use } = record.request ?? {};
    $("state").textContent = $("state").dataset.state = state;
    $("what").textContent = oneLine(messages.findLast(({ role }) => role === "user")?.content ?? record.id, 200);
    const how = use ? [nameOf(record), use.format, use.tools.join(", ")] : ["no tools"];
    $("how").textContent = how.map((text) => oneLine(text, 80)).join(" · ");
    this.offerStop();
    document.title = `${state} · Conveyor`;
  }

  /** Stop is for what runs, and between two that are compared for the one that comes. */
  offerStop() {
    const isOver = this.runs.every(({ record, hasNext }) => record.failed || (record.finished && !hasNext));
    for (const button of document.querySelectorAll(".stop")) {
      if (isOver && button === document.activeElement) $(button.form ? "run" : "again").focus(); // it would be lost
      button.disabled = isOver;
    }
  }

  #tellEnd(record) {
    const records = this.runs.map((run) => run.record);
    const failed = records.find((each) => each.failed)?.failed;
    const isCompared = records.length > 1 && records.every((each) => each.finished);
    const said = isCompared ? savingWords(...records) : record.finished ? ledgerWords(record) : "";
    put("failure", failed ? failureWords(failed) : "");
    if (record.over || failed) put("words", failed ? "" : said);
    put("words-more", isCompared ? this.#sameness() : this.shown.isCut ? CUT : "");
    $("figures").replaceChildren(...figuresOf(record.ledger));
    if (!records.every((each) => each.over)) return;
    say(failed ? failureWords(failed) : `Finished. ${said}`);
    if (this.#over) return;
    this.#over = true;
    this.#tabulate();
    this.ended();
  }

  #sameness() {
    const [one, other] = this.runs.map((run) => run.transcript.said().join("\n"));
    if (one !== other) return "They did not say the same, so they compare less well.";
    return `Both said the same, word for word. ${steadinessWords(...this.runs.map(({ record }) => record))}`.trim();
  }

  #tellLost(waitMs) {
    const again = `The connection is lost. The completion goes on; trying again in ${seconds((waitMs ?? 0) / 1000)}.`;
    put("connection", waitMs === null ? "" : again);
  }

  #tabulate() {
    $("rows").replaceChildren(...($("table").open ? [tableOf(this.runs.map(({ record }) => record))] : []));
  }

  // --- what is pointed at ------------------------------------------------------------------------------------------

  /** Marks the card of a call, and the text that made a unit of its work possible; `reveals`: brings them into view. */
  #highlight(record, call, unit, reveals) {
    globalThis.CSS?.highlights?.delete("pointed");
    document.querySelector(".card.pointed")?.classList.remove("pointed");
    if (!call || this.shown?.record !== record) return;
    const card = this.shown.transcript.cardOf(call);
    const range = unit && this.shown.transcript.rangeOf(call, unit);
    card?.classList.add("pointed");
    if (range && globalThis.Highlight) CSS.highlights.set("pointed", new Highlight(range));
    if (!reveals) return;
    if (range) this.#panes[0].reveal(range);
    if (card) this.#panes[1].reveal(card);
  }
}

/** A pane that stays at its end while text comes, unless a reader has gone elsewhere. */
class Pane {
  follows = true;

  constructor(element) {
    this.element = element;
    const look = () => (this.follows = element.scrollTop + element.clientHeight > element.scrollHeight - AT_END);
    element.addEventListener("scroll", look, { passive: true });
    element.addEventListener("load", () => this.toEnd(), true); // a picture has its height now
  }

  toEnd() {
    if (this.follows) this.element.scrollTop = this.element.scrollHeight;
  }

  /** An element or a range in it. */
  reveal(part) {
    const [inner, outer] = [part.getBoundingClientRect(), this.element.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
    this.follows = false;
    this.element.scrollTop += inner.top - outer.top - outer.height / 4;
  }

  rewind() {
    this.follows = false;
    this.element.scrollTop = 0;
  }
}

const say = (text) => ($("status").textContent = text);

function put(id, text) {
  $(id).hidden = !text;
  $(id).textContent = text;
}

function stateOf({ finished, failed }) {
  if (failed) return isStopped(failed) ? "stopped" : "failed";
  return finished ? "finished" : "running";
}

const isStopped = ({ code }) => code.toLowerCase() === "cancelled";

function failureWords(failed) {
  return isStopped(failed) ? "Stopped." : inert([failed.code, failed.message].filter(Boolean).join(": "));
}

function figuresOf(ledger) {
  const figure = (field) => (ledger ? seconds(ledger[`${field}_seconds`]) : "–");
  return Object.entries(FIGURES).map(([name, field]) => h("div", {}, h("dt", {}, name), h("dd", {}, figure(field))));
}
