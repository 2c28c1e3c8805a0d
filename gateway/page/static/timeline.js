// When what happened: a lane for each turn's decoding and one for each call, on one axis. Drawn on canvases, so that
// thousands of marks are few elements, and of them only those that change cost a frame. The lanes' names beside them
// are buttons, by which keys reach every unit.

import { count, seconds } from "./figures.js";
import { h, oneLine } from "./inert.js";
import { hiddenWords, nameOf, unitWords } from "./words.js";

const AXIS = 24; // pixels
const ROW = 24;
const LOW_ROW = 17; // where there are more lanes than MANY
const MANY = 20;
const MOST_ROWS = 200; // what is beyond is in the table
const SHEET = 12; // rows of a canvas
const PAD = 10; // pixels before the first second, and twice as many after the last
const NEAR = 5; // pixels
const MARKS_MS = 50; // new marks come no sooner than this after the last ones
const DRAW_MS = 2; // of a frame; what is left comes in another one
const ENDS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
const STEPS = [1, 2, 5, 10];
const COLOURS = [
  "ink", "muted", "faint", "grid", "surface",
  "prompt", "decode", "decode-soft", "hidden", "exposed", "error",
];

const roundAbove = (value, numbers) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * numbers.find((number) => number * power >= value * 0.9999);
};

export class Timeline {
  #records = [];
  #rows = [];
  #row = ROW;
  #labels = new Map(); // by turn, call or record
  #view = null; // [from, to] where a reader has zoomed in
  #drawn = new Map(); // by turn, call or record: what its lane showed when it was drawn
  #scaled = ""; // on which axis
  #drawnMs = 0;
  #cutAt = 0; // the lane from which on there was no time
  width = 0; // pixels
  #picked = null; // {row, unit}
  #theme = null;
  #drag = null;

  /** In `root`, which has the parts by their classes. `pick(record, call, unit, reveals)` hears what is pointed at. */
  constructor(root, pick) {
    const part = (name) => root.querySelector(`.${name}`);
    Object.assign(this, { root, pick, list: part("lanes"), plot: part("plot"), axis: part("axis") });
    Object.assign(this, { tip: part("tip"), needle: part("needle"), said: part("said") });
    const resize = ([{ contentRect }]) => {
      if (this.width === contentRect.width) return; // there are more lanes
      this.width = contentRect.width; // asking for it in a frame would lay the page out once more
      this.#redraw();
    };
    new ResizeObserver(resize).observe(this.plot);
    const recolour = () => {
      this.#theme = null;
      this.#redraw();
    };
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", recolour);
    }
    this.#listen(part);
    this.#theme = themeOf(root);
    this.axis.getContext("2d").font = this.#axisFont();
    this.axis.getContext("2d").measureText("0123456789. s"); // the first time takes as long as a frame may
  }

  show(records) {
    this.#records = records;
    this.#view = this.#picked = null;
    this.#rows = [];
    this.#labels.clear();
    this.list.replaceChildren();
    this.plot.replaceChildren();
    this.#setHeight(0, ROW);
    this.#hideTip();
    this.#redraw();
  }

  /** Draws lanes that have changed, for some `ms`, and says whether there were any. */
  draw(ms = DRAW_MS) {
    const { width } = this;
    const height = this.#row;
    this.#arrange();
    const now = performance.now();
    const isDue = now - this.#drawnMs >= MARKS_MS || this.#records.every((record) => record.over);
    const isWhole = ms === Infinity || height !== this.#row; // lanes of two heights do not go together
    if (!width || !(isDue || isWhole || this.#cutAt)) return false;
    const [from, to] = this.#span();
    this.from = from;
    this.scale = (width - 3 * PAD) / (to - from);
    const isChanged = this.#drawAll(to, isWhole ? Infinity : now + ms);
    if (isChanged) this.#drawnMs = now;
    return isChanged;
  }

  /** All anew. */
  #redraw() {
    this.#scaled = "";
    if (!this.#records.length) return;
    this.draw(Infinity);
    this.moveNeedle();
  }

  // --- which lanes there are ---------------------------------------------------------------------------------------

  #arrange() {
    const rows = this.#records.flatMap((record) => [...this.#rowsOf(record)]).slice(0, MOST_ROWS);
    const isGrown = rows.length !== this.#rows.length;
    this.#rows = rows;
    if (isGrown) this.#setHeight(rows.length, rows.length > MANY ? LOW_ROW : ROW);
    rows.forEach((row, place) => this.#label(row, place));
  }

  #setHeight(rows, pixels) {
    this.#row = pixels;
    this.root.style.setProperty("--row", `${pixels}px`);
    this.plot.style.height = `${rows * pixels}px`;
  }

  *#rowsOf(record) {
    if (this.#records.length > 1) yield { kind: "title", key: record, record };
    for (const turn of record.turns) {
      yield { kind: "turn", key: turn, record, turn };
      for (const call of turn.calls) yield { kind: "call", key: call, record, turn, call };
    }
    if (this.#records.length === 1 && saves(record)) yield { kind: "all", key: record, record };
  }

  #label(row, place) {
    let label = this.#labels.get(row.key);
    if (!label) {
      const inner = row.kind === "call" ? `depth-${Math.min(3, row.call.depth)}` : "";
      const attributes = { type: "button", class: `lane ${row.kind} ${inner}`, tabindex: place ? -1 : 0 };
      const button = h("button", attributes, h("bdi", {}, nameOfRow(row)));
      label = { element: h("li", {}, button), button, phase: "" };
      button.addEventListener("focus", () => this.#rowOf(button, (row) => this.#point(row, null, true)));
      button.addEventListener("blur", () => this.#hideTip());
      this.#labels.set(row.key, label);
    }
    const phase = row.call?.phase ?? "";
    if (label.phase !== phase) label.button.dataset.phase = label.phase = phase;
    const there = this.list.children[place] ?? null;
    if (there !== label.element) this.list.insertBefore(label.element, there);
  }

  // --- the axis ----------------------------------------------------------------------------------------------------

  /** What is shown: all, up to a round number while it grows. */
  #span() {
    if (this.#view) return this.#view;
    let end = 0.05;
    for (const record of this.#records) {
      const now = record.now();
      end = Math.max(end, record.over ? now : roundAbove(Math.max(0.5, now), ENDS));
      if (this.#records.length === 1 && saves(record)) end = Math.max(end, record.ledger.serial_seconds);
    }
    return [0, end];
  }

  #x(at) {
    return PAD + (at - this.from) * this.scale;
  }

  #time(x) {
    return this.from + (x - PAD) / this.scale;
  }

  /** Shows `factor` times as much around a place of the plot. */
  #zoom(factor, x = this.width / 2) {
    const [from, to] = this.#span();
    const whole = ((this.#view = null), this.#span());
    const at = this.#time(x);
    const length = Math.min((to - from) * factor, whole[1]);
    if (length >= whole[1] * 0.999) return this.#redraw();
    const begin = Math.min(Math.max(0, at - ((at - from) / (to - from)) * Math.max(length, 0.002)), whole[1] - length);
    this.#view = [begin, begin + Math.max(length, 0.002)];
    this.#redraw();
  }

  #pan(bySeconds) {
    if (!this.#view) return;
    const [from, to] = this.#view;
    this.#view = null;
    const by = Math.min(Math.max(bySeconds, -from), this.#span()[1] - to);
    this.#view = [from + by, to + by];
    this.#redraw();
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  /** Lane by lane, until all that have changed are drawn or it is too late for more. Says whether any had. */
  #drawAll(to, untilMs) {
    this.#theme ??= themeOf(this.root);
    const { width } = this;
    const step = roundAbove(((to - this.from) * 70) / width, STEPS);
    const scaled = `${this.from} ${to} ${width} ${this.#row} ${ratio()}`;
    if (scaled !== this.#scaled) {
      this.#scaled = scaled;
      this.#drawn.clear();
      this.#drawAxis(prepared(this.axis, width, AXIS), step, width, to);
    }
    const rows = [...this.#rows.entries()];
    const begin = this.#cutAt; // those before it had their turn
    this.#cutAt = 0;
    let isChanged = false;
    for (const [place, row] of [...rows.slice(begin), ...rows.slice(0, begin)]) {
      const shows = `${place} ${this.#pickedIn(row)} ${shownIn(row)}`;
      if (this.#drawn.get(row.key) === shows) continue;
      if (isChanged && performance.now() > untilMs) {
        this.#cutAt = place;
        break;
      }
      this.#drawRow(this.#sheet(Math.floor(place / SHEET)), row, (place % SHEET) * this.#row, step, to);
      this.#drawn.set(row.key, shows);
      isChanged = true;
    }
    return isChanged;
  }

  /** What draws on the canvas of that number. */
  #sheet(number) {
    while (this.plot.children.length <= number) this.plot.append(h("canvas", { "aria-hidden": "true" }));
    return prepared(this.plot.children[number], this.width, SHEET * this.#row);
  }

  #drawRow(plot, row, y, step, to) {
    const [top, bottom] = [y, y + this.#row].map((at) => Math.round(at * ratio()) / ratio()); // else traces are left
    plot.clearRect(0, top, this.width, bottom - top);
    plot.fillStyle = this.#theme.grid;
    for (const at of this.#marks(step, to)) plot.fillRect(Math.round(this.#x(at)), top, 1, bottom - top);
    if (row.kind === "title") plot.fillRect(0, y + this.#row - 1, this.width, 1);
    else if (row.kind === "turn") this.#drawTurn(plot, row, y);
    else if (row.kind === "call") this.#drawCall(plot, row.call, row.record, y);
    else this.#drawSaved(plot, row.record.ledger, y);
    if (this.#pickedIn(row) !== "") this.#drawPicked(plot, y);
  }

  #drawAxis(axis, step, width, to) {
    axis.clearRect(0, 0, width, AXIS);
    axis.fillStyle = this.#theme.muted;
    axis.font = this.#axisFont();
    axis.textBaseline = "middle";
    for (const at of this.#marks(step, to)) {
      const text = at ? `${+at.toPrecision(6)} s` : "0";
      const room = axis.measureText(text).width;
      axis.fillText(text, Math.min(Math.max(0, Math.round(this.#x(at)) - room / 2), width - room), AXIS / 2);
    }
  }

  *#marks(step, to) {
    for (let number = Math.ceil(this.from / step); number * step <= to + step / 1e6; number++) yield number * step;
  }

  #axisFont() {
    return `11px ${this.#theme.font}`;
  }

  /** Text as it came; before it, the prompt; where it ended, a line; after that, thin, the wait for calls. */
  #drawTurn(plot, { record, turn }, y) {
    const theme = this.#theme;
    const [middle, half] = [y + this.#row / 2, this.#row / 4];
    const last = turn.ticks[turn.ticks.length - 1] ?? turn.begin;
    const first = turn.ticks[0] ?? turn.decodedAt ?? record.now();
    plot.fillStyle = theme.prompt;
    plot.fillRect(this.#x(turn.begin), middle - 2, Math.max(0, (first - turn.begin) * this.scale), 4);
    plot.fillStyle = theme["decode-soft"];
    plot.fillRect(this.#x(first), middle - half, Math.max(0, (last - first) * this.scale), 2 * half);
    plot.fillStyle = theme.decode;
    plot.beginPath();
    let before = -Infinity;
    for (const tick of turn.ticks) {
      const x = Math.round(this.#x(tick));
      if (x - before >= 2) plot.rect((before = x), middle - half, 1, 2 * half);
    }
    plot.fill();
    if (turn.decodedAt === null) return;
    const parked = turn.calls.length ? (turn.finishedAt ?? record.now()) : turn.decodedAt;
    this.#line(plot, theme.faint, turn.decodedAt, parked, middle);
    plot.fillStyle = turn.veto ? theme.error : theme.ink;
    plot.fillRect(Math.round(this.#x(turn.decodedAt)), y + 3, turn.veto ? 2 : 1, this.#row - 6);
  }

  /** Where a turn's text ended, in the lane of a call. */
  #drawTurnsEnd(plot, turn, y) {
    if (turn.decodedAt === null) return;
    plot.fillStyle = turn.veto ? this.#theme.error : this.#theme.ink;
    const x = Math.round(this.#x(turn.decodedAt));
    for (let dash = Math.ceil(y / 6) * 6; dash < y + this.#row; dash += 6) plot.fillRect(x, dash, 1, 3);
  }

  /** Its units, what decoding hid of them filled and the rest hatched; thin, where it waited; dotted, before it ran. */
  #drawCall(plot, call, record, y) {
    const theme = this.#theme;
    const middle = y + this.#row / 2;
    const end = call.endedAt ?? record.now();
    const start = call.startedAt ?? end;
    this.#drawTurnsEnd(plot, call.turn, y);
    this.#line(plot, theme.faint, call.openedAt, start, middle, 1.5, [1.5, 2.5]);
    this.#line(plot, theme.faint, start, end, middle);
    for (const [from, to] of call.awaited) this.#line(plot, theme.exposed, from, to ?? record.now(), middle, 3, [5, 3]);
    for (const unit of call.units) this.#drawUnit(plot, unit, call.turn.hides(unit.from, unit.at), middle);
    if (call.over) this.#drawEnd(plot, call, this.#x(end), middle);
  }

  #drawUnit(plot, unit, hidden, middle) {
    const theme = this.#theme;
    const half = this.#row / 3.4;
    const from = this.#x(unit.from);
    const to = Math.max(this.#x(unit.at), from + 2);
    const isWhole = unit.at - unit.from - hidden < 0.0005;
    const border = isWhole ? to : hidden > 0 ? Math.min(to, this.#x(unit.from + hidden)) : from;
    plot.fillStyle = theme.hidden;
    plot.fillRect(from, middle - half, border - from, 2 * half);
    if (border < to) {
      plot.fillStyle = theme.surface;
      plot.fillRect(border, middle - half, to - border, 2 * half);
      plot.fillStyle = to - border < 4 ? theme.exposed : theme.hatch;
      plot.fillRect(border, middle - half, to - border, 2 * half);
      plot.strokeStyle = theme.exposed;
      if (to - border >= 4) plot.strokeRect(border + 0.5, middle - half + 0.5, to - border - 1, 2 * half - 1);
    }
    if (to - from > 3) {
      plot.fillStyle = theme.surface; // parts it from the unit before
      plot.fillRect(from - 0.5, middle - half, 1, 2 * half);
    }
  }

  /** A thin one, of what is in view. */
  #line(plot, colour, from, to, middle, width = 1.5, dashes = []) {
    const [begin, end] = [Math.max(this.#x(from), -8), Math.min(this.#x(to), this.width + 8)];
    if (end <= begin) return;
    plot.strokeStyle = colour;
    plot.lineWidth = width;
    plot.setLineDash(dashes);
    plot.beginPath();
    plot.moveTo(begin, middle);
    plot.lineTo(end, middle);
    plot.stroke();
    plot.setLineDash([]);
    plot.lineWidth = 1;
  }

  #drawEnd(plot, call, x, middle) {
    plot.fillStyle = plot.strokeStyle = call.phase === "failed" ? this.#theme.error : this.#theme.faint;
    if (call.phase !== "failed") return plot.fillRect(x, middle - 4, 1.5, 8);
    plot.lineWidth = 2;
    plot.beginPath();
    for (const side of [-4, 4]) {
      plot.moveTo(x + 6 - 4, middle - side);
      plot.lineTo(x + 6 + 4, middle + side);
    }
    plot.stroke();
    plot.lineWidth = 1;
  }

  /** What it took, and what it would have taken with every call after its turn, one after the other. */
  #drawSaved(plot, ledger, y) {
    const theme = this.#theme;
    const middle = y + this.#row / 2;
    const [zero, end, serial] = [0, ledger.completion_seconds, ledger.serial_seconds].map((at) => this.#x(at));
    plot.fillStyle = theme.ink;
    plot.fillRect(zero, middle - 3, end - zero, 6);
    plot.strokeStyle = theme.hidden;
    plot.setLineDash([4, 3]);
    plot.strokeRect(end + 0.5, middle - 6.5, Math.max(1, serial - end - 1), 13);
    plot.setLineDash([]);
    const text = `about ${seconds(ledger.serial_seconds - ledger.completion_seconds)} saved`;
    plot.font = this.#axisFont();
    plot.textBaseline = "middle";
    if (plot.measureText(text).width > serial - end - 12) return;
    plot.fillStyle = theme.muted;
    plot.fillText(text, end + 7, middle + 0.5);
  }

  /** The number of the unit that is pointed at; -1 for the lane itself, empty for another one. */
  #pickedIn({ key, kind, call }) {
    if (this.#picked?.row.key !== key || this.#picked.row.kind !== kind) return "";
    return call ? call.units.indexOf(this.#picked.unit) : -1;
  }

  #drawPicked(plot, y) {
    const { unit } = this.#picked;
    plot.strokeStyle = this.#theme.ink;
    if (!unit) return plot.strokeRect(0.5, y + 1.5, this.width - 1, this.#row - 3);
    const from = this.#x(unit.from);
    plot.lineWidth = 2;
    plot.strokeRect(from - 2, y + 3, Math.max(2, this.#x(unit.at) - from) + 4, this.#row - 6);
    plot.lineWidth = 1;
  }

  /** Once a frame: where now is, while a completion runs. */
  moveNeedle() {
    const running = this.#records.find((record) => !record.over);
    const x = running && this.scale ? this.#x(running.now()) : -1;
    this.needle.hidden = x < 0 || x > this.width;
    if (!this.needle.hidden) this.needle.style.transform = `translateX(${x.toFixed(1)}px)`;
  }

  // --- pointing ----------------------------------------------------------------------------------------------------

  #listen(part) {
    const { plot, list } = this;
    plot.addEventListener("pointermove", (event) => this.#move(event));
    plot.addEventListener("pointerdown", (event) => {
      this.#drag = this.#view && { x: event.offsetX };
      if (this.#drag) plot.setPointerCapture(event.pointerId);
      this.#move(event, true);
    });
    plot.addEventListener("pointerup", () => (this.#drag = null));
    plot.addEventListener("pointerleave", () => this.#hideTip());
    plot.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    list.addEventListener("keydown", (event) => this.#key(event));
    part("closer").addEventListener("click", () => this.#zoom(0.5));
    part("wider").addEventListener("click", () => this.#zoom(2));
    part("whole").addEventListener("click", () => this.#zoom(Infinity));
  }

  #wheel(event) {
    if (event.ctrlKey || event.metaKey) this.#zoom(Math.exp(event.deltaY / 200), event.offsetX);
    else if (this.#view && (event.deltaX || event.shiftKey)) this.#pan((event.deltaX || event.deltaY) / this.scale);
    else return;
    event.preventDefault();
  }

  #move({ offsetX: x, offsetY: y }, reveals = false) {
    if (this.#drag) {
      this.#pan((this.#drag.x - x) / this.scale);
      this.#drag = { x };
      return;
    }
    const row = this.#rows[Math.floor(y / this.#row)];
    if (!row) return this.#hideTip();
    this.#point(row, row.call ? nearest(row.call.units, this.#time(x), NEAR / this.scale) : null, reveals, x);
  }

  #key(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    const row = this.#rows[place];
    if (!row) return;
    const units = row.call?.units ?? [];
    const unit = this.#picked?.row.key === row.key ? units.indexOf(this.#picked.unit) : -1;
    const lanes = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 };
    const along = { ArrowRight: unit + 1, ArrowLeft: unit < 0 ? units.length - 1 : unit - 1 };
    if (event.key in lanes) this.#focus(buttons, lanes[event.key]);
    else if (event.key in along) this.#point(row, units[along[event.key]] ?? null, true);
    else if (event.key === "+") this.#zoom(0.5, units[unit] && this.#x(units[unit].from));
    else if (event.key === "-") this.#zoom(2, units[unit] && this.#x(units[unit].from));
    else if (event.key === "0") this.#zoom(Infinity);
    else if (event.key === "Escape") this.#hideTip();
    else return;
    event.preventDefault();
  }

  #focus(buttons, place) {
    const button = buttons[Math.min(Math.max(0, place), buttons.length - 1)];
    buttons.forEach((other) => (other.tabIndex = other === button ? 0 : -1));
    button.focus();
  }

  #rowOf(button, then) {
    const row = this.#rows[[...this.list.querySelectorAll("button")].indexOf(button)];
    if (row) then(row);
  }

  /** Tells of a lane, or of a unit in it; aloud where keys have come to it. */
  #point(row, unit, aloud, x = unit ? this.#x(unit.from) : PAD) {
    if (this.#picked?.row.key !== row.key || this.#picked.unit !== unit || aloud) {
      this.#picked = { row, unit };
      this.draw(Infinity);
      this.pick(row.record, row.call ?? null, unit, aloud);
    }
    const [title, ...lines] = unit ? [unit.label || "other work", unitWords(row.call, unit)] : wordsOf(row);
    this.tip.replaceChildren(h("b", {}, h("bdi", {}, shortened(title))), ...lines.map((line) => h("span", {}, line)));
    this.tip.hidden = false;
    const y = this.#rows.findIndex((other) => other.key === row.key && other.kind === row.kind) * this.#row;
    const left = Math.min(Math.max(0, x + 12), Math.max(0, this.width - this.tip.offsetWidth - 4));
    this.tip.style.transform = `translate(${left.toFixed()}px, ${y + this.#row + 2}px)`;
    if (aloud) this.said.textContent = [shortened(title), ...lines].join(", ");
  }

  #hideTip() {
    this.tip.hidden = true;
    if (!this.#picked) return;
    this.#picked = null;
    this.draw(Infinity);
    this.pick(null, null, null, false);
  }
}

/** What its lane shows, in a word that is another one when that has changed. */
function shownIn({ kind, record, turn, call }) {
  const clock = record.over || Math.floor(record.now() * 4); // what goes on grows
  if (kind === "turn") {
    const { ticks, decodedAt, finishedAt, calls, veto } = turn;
    return `${ticks.length} ${decodedAt} ${finishedAt} ${calls.length} ${veto !== null} ${finishedAt === null && clock}`;
  }
  if (kind !== "call") return kind;
  return `${call.units.length} ${call.phase} ${call.turn.decodedAt} ${call.turn.veto !== null} ${call.over || clock}`;
}

const shortened = (text) => oneLine(text, 90);

const saves = ({ ledger }) => ledger !== null && ledger.serial_seconds - ledger.completion_seconds > 0.005;

function nameOfRow({ kind, record, turn, call }) {
  if (kind === "title") return nameOf(record);
  if (kind === "turn") return `turn ${turn.number + 1}`;
  return kind === "call" ? call.label : "in all";
}

/** A lane in words: a title, and lines. */
function wordsOf({ kind, record, turn, call }) {
  if (kind === "title") return [nameOf(record), seconds(record.now())];
  if (kind === "all") {
    const { completion_seconds: took, serial_seconds: serial } = record.ledger;
    return ["In all", `took ${seconds(took)}`, `serial it would have taken ${seconds(serial)}`];
  }
  if (kind === "turn") {
    const first = turn.ticks[0] ?? record.now();
    const end = turn.decodedAt ?? record.now();
    const tokens = `${count(turn.tokens, "token")} in ${seconds(Math.max(0, end - first))}`;
    const veto = turn.veto ? ["stopped by a tool"] : [];
    return [`Turn ${turn.number + 1}`, `prompt ${seconds(first - turn.begin)}`, tokens, ...veto];
  }
  const end = call.endedAt === null ? "still runs" : `ended at ${seconds(call.endedAt)}`;
  const start = call.startedAt === null ? "has not run" : `ran from ${seconds(call.startedAt)}`;
  const busy = call.units.reduce((sum, unit) => sum + unit.busy, 0);
  const worked = `${count(call.units.length, "unit")} worked ${seconds(busy)}, ${hiddenWords(call.hidden, busy)}`;
  const named = `named at ${seconds(call.openedAt)}, ${start}, ${end}`;
  return [`${call.label}, ${call.phase}`, named, ...(call.units.length ? [worked] : [])];
}

function nearest(units, at, within) {
  let best = null;
  let least = within;
  for (const unit of units) {
    const distance = at < unit.from ? unit.from - at : Math.max(0, at - unit.at);
    if (distance < least || (distance === least && least === 0)) [best, least] = [unit, distance];
  }
  return best;
}

const ratio = () => Math.min(2, devicePixelRatio || 1);

/** What draws on a canvas of that size in CSS pixels; one that had another size is empty now. */
function prepared(canvas, width, height) {
  const [columns, lines] = [Math.round(width * ratio()), Math.round(height * ratio())];
  if (canvas.width !== columns || canvas.height !== lines) {
    Object.assign(canvas, { width: columns, height: lines });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  return context;
}

/** The style sheet's colours; canvases know nothing of it. */
function themeOf(root) {
  const style = getComputedStyle(root);
  const theme = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...theme, font: style.fontFamily, hatch: hatch(theme.exposed) };
}

function hatch(colour) {
  const tile = Object.assign(document.createElement("canvas"), { width: 6, height: 6 });
  const context = tile.getContext("2d");
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  for (const shift of [-6, 0, 6]) {
    context.moveTo(shift - 1, 7);
    context.lineTo(shift + 7, -1);
  }
  context.stroke();
  return context.createPattern(tile, "repeat");
}
