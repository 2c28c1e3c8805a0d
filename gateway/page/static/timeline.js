// When what happened: a lane for each turn's decoding and one for each call, on one axis. Drawn on canvases, so that
// thousands of marks are few elements, and of them only those that change cost a frame. The lanes' names beside them
// are buttons, by which keys reach every unit.

import { Axis, PAD, roundAbove } from "./axis.js";
import { prepared, themeOf } from "./canvas.js";
import { h, oneLine } from "./inert.js";
import { isSame, lanesOf, nameOfLane, nearest, saves, stateOf, wordsOf } from "./lanes.js";
import { Painter } from "./painter.js";

const HIGH = 24; // pixels of a lane
const LOW = 17; // where there are more than MANY
const MANY = 20;
const MOST_LANES = 200; // what is beyond is in the table
const SHEET = 12; // lanes of a canvas
const NEAR = 5; // pixels
const MARKS_MS = 50; // new marks come no sooner than this after the last ones
const DRAW_MS = 2; // of a frame; what is left comes in another one
const ENDS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]; // and ten times as much: where the axis ends while it grows

export class Timeline {
  #records = [];
  #lanes = [];
  #axis = new Axis();
  #painter = new Painter(this.#axis);
  #labels = new Map(); // by turn, call or record
  #drawn = new Map(); // by turn, call or record: what its lane showed when it was drawn
  #scaled = ""; // on which axis
  #drawnMs = 0;
  #cutAt = 0; // the lane from which on there was no time
  #picked = null; // {lane, unit}
  #drag = null;

  /** In `root`, which has the parts by their classes. `pick(record, call, unit, reveals)` hears what is pointed at. */
  constructor(root, pick) {
    const part = (name) => root.querySelector(`.${name}`);
    Object.assign(this, { root, pick, list: part("lanes"), plot: part("plot"), ruler: part("axis") });
    Object.assign(this, { tip: part("tip"), needle: part("needle"), said: part("said") });
    const resize = ([{ contentRect }]) => {
      if (this.#axis.width === contentRect.width) return; // there are more lanes
      this.#axis.width = contentRect.width; // asking for it in a frame would lay the page out once more
      this.#redraw();
    };
    new ResizeObserver(resize).observe(this.plot);
    const recolour = () => {
      this.#painter.theme = themeOf(root);
      this.#redraw();
    };
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", recolour);
    }
    this.#listen(part);
    recolour();
    const context = this.ruler.getContext("2d");
    context.font = this.#painter.theme.font;
    context.measureText("0123456789. s"); // the first time takes as long as a frame may
  }

  show(records) {
    this.#records = records;
    this.#lanes = [];
    this.#picked = null;
    this.#axis.reset();
    this.#labels.clear();
    this.list.replaceChildren();
    this.plot.replaceChildren();
    this.#setHeight(0, HIGH);
    this.#hideTip();
    this.#redraw();
  }

  /** Draws lanes that have changed, for some `ms`, and says whether there were any. */
  draw(ms = DRAW_MS) {
    const { height } = this.#painter;
    this.#arrange();
    const now = performance.now();
    const isDue = now - this.#drawnMs >= MARKS_MS || this.#records.every((record) => record.over);
    const isWhole = ms === Infinity || height !== this.#painter.height; // lanes of two heights do not go together
    if (!this.#axis.width || !(isDue || isWhole || this.#cutAt)) return false;
    this.#axis.fit(this.#end());
    const isChanged = this.#drawAll(isWhole ? Infinity : now + ms);
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
    const lanes = lanesOf(this.#records).slice(0, MOST_LANES);
    const isGrown = lanes.length !== this.#lanes.length;
    this.#lanes = lanes;
    if (isGrown) this.#setHeight(lanes.length, lanes.length > MANY ? LOW : HIGH);
    lanes.forEach((lane, place) => this.#label(lane, place));
  }

  #setHeight(lanes, pixels) {
    this.#painter.height = pixels;
    this.root.style.setProperty("--row", `${pixels}px`);
    this.plot.style.height = `${lanes * pixels}px`;
  }

  #label(lane, place) {
    let label = this.#labels.get(lane.key);
    if (!label) {
      const inner = lane.kind === "call" ? `depth-${Math.min(3, lane.call.depth)}` : "";
      const attributes = { type: "button", class: `lane ${lane.kind} ${inner}`, tabindex: place ? -1 : 0 };
      const button = h("button", attributes, h("bdi", {}, nameOfLane(lane)));
      label = { element: h("li", {}, button), button, phase: "" };
      button.addEventListener("focus", () => this.#laneOf(button, (lane) => this.#point(lane, null, true)));
      button.addEventListener("blur", () => this.#hideTip());
      this.#labels.set(lane.key, label);
    }
    const phase = lane.call?.phase ?? "";
    if (label.phase !== phase) label.button.dataset.phase = label.phase = phase;
    const there = this.list.children[place] ?? null;
    if (there !== label.element) this.list.insertBefore(label.element, there);
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  /** Up to when there is something to show: a round number while it grows. */
  #end() {
    let end = 0.05;
    for (const record of this.#records) {
      const now = record.now();
      end = Math.max(end, record.over ? now : roundAbove(Math.max(0.5, now), ENDS));
      if (this.#records.length === 1 && saves(record)) end = Math.max(end, record.ledger.serial_seconds);
    }
    return end;
  }

  /** Lane by lane, until all that have changed are drawn or it is too late for more. Says whether any had. */
  #drawAll(untilMs) {
    const { from, to, width } = this.#axis;
    const { height } = this.#painter;
    const scaled = `${from} ${to} ${width} ${height} ${devicePixelRatio}`;
    if (scaled !== this.#scaled) {
      this.#scaled = scaled;
      this.#drawn.clear();
      this.#axis.draw(this.ruler, this.#painter.theme);
    }
    const lanes = [...this.#lanes.entries()];
    const begin = this.#cutAt; // those before it had their turn
    this.#cutAt = 0;
    let isChanged = false;
    for (const [place, lane] of [...lanes.slice(begin), ...lanes.slice(0, begin)]) {
      const picked = this.#pickedIn(lane);
      const shows = `${place} ${lane.call?.units.indexOf(picked) ?? -1} ${picked !== null} ${stateOf(lane)}`;
      if (this.#drawn.get(lane.key) === shows) continue;
      if (isChanged && performance.now() > untilMs) {
        this.#cutAt = place;
        break;
      }
      this.#painter.draw(this.#sheet(Math.floor(place / SHEET)), lane, (place % SHEET) * height, picked);
      this.#drawn.set(lane.key, shows);
      isChanged = true;
    }
    return isChanged;
  }

  /** What draws on the canvas of that number. */
  #sheet(number) {
    while (this.plot.children.length <= number) this.plot.append(h("canvas", { "aria-hidden": "true" }));
    return prepared(this.plot.children[number], this.#axis.width, SHEET * this.#painter.height);
  }

  /** The unit that is pointed at, true for the lane itself, null for another one. */
  #pickedIn(lane) {
    if (!this.#picked || !isSame(this.#picked.lane, lane)) return null;
    return this.#picked.unit ?? true;
  }

  /** Once a frame: where now is, while a completion runs. */
  moveNeedle() {
    const { scale, width } = this.#axis;
    const running = this.#records.find((record) => !record.over);
    const x = running && scale ? this.#axis.x(running.now()) : -1;
    this.needle.hidden = x < 0 || x > width;
    if (!this.needle.hidden) this.needle.style.transform = `translateX(${x.toFixed(1)}px)`;
  }

  // --- a closer look -----------------------------------------------------------------------------------------------

  #zoom(factor, x) {
    this.#axis.zoom(factor, x);
    this.#redraw();
  }

  #pan(pixels) {
    this.#axis.pan(pixels / this.#axis.scale);
    this.#redraw();
  }

  // --- pointing ----------------------------------------------------------------------------------------------------

  #listen(part) {
    const { plot, list } = this;
    plot.addEventListener("pointermove", (event) => this.#move(event));
    plot.addEventListener("pointerdown", (event) => {
      this.#drag = this.#axis.isZoomed ? { x: event.offsetX } : null;
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
    else if (this.#axis.isZoomed && (event.deltaX || event.shiftKey)) this.#pan(event.deltaX || event.deltaY);
    else return;
    event.preventDefault();
  }

  #move({ offsetX: x, offsetY: y }, reveals = false) {
    if (this.#drag) {
      this.#pan(this.#drag.x - x);
      this.#drag = { x };
      return;
    }
    const lane = this.#lanes[Math.floor(y / this.#painter.height)];
    if (!lane) return this.#hideTip();
    const units = lane.call?.units ?? [];
    this.#point(lane, nearest(units, this.#axis.time(x), NEAR / this.#axis.scale), reveals, x);
  }

  #key(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    const lane = this.#lanes[place];
    if (!lane) return;
    const units = lane.call?.units ?? [];
    const unit = units.indexOf(this.#pickedIn(lane));
    const lanes = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 };
    const along = { ArrowRight: unit + 1, ArrowLeft: unit < 0 ? units.length - 1 : unit - 1 };
    const zooms = { "+": 0.5, "-": 2, 0: Infinity };
    if (event.key in lanes) this.#focus(buttons, lanes[event.key]);
    else if (event.key in along) this.#point(lane, units[along[event.key]] ?? null, true);
    else if (event.key in zooms) this.#zoom(zooms[event.key], units[unit] && this.#axis.x(units[unit].from));
    else if (event.key === "Escape") this.#hideTip();
    else return;
    event.preventDefault();
  }

  #focus(buttons, place) {
    const button = buttons[Math.min(Math.max(0, place), buttons.length - 1)];
    buttons.forEach((other) => (other.tabIndex = other === button ? 0 : -1));
    button.focus();
  }

  #laneOf(button, then) {
    const lane = this.#lanes[[...this.list.querySelectorAll("button")].indexOf(button)];
    if (lane) then(lane);
  }

  /** Tells of a lane, or of a unit in it; aloud where keys have come to it. */
  #point(lane, unit, aloud, x = unit ? this.#axis.x(unit.from) : PAD) {
    if (this.#pickedIn(lane) !== (unit ?? true) || aloud) {
      this.#picked = { lane, unit };
      this.draw(Infinity);
      this.pick(lane.record, lane.call ?? null, unit, aloud);
    }
    const [title, ...lines] = wordsOf(lane, unit);
    this.tip.replaceChildren(h("b", {}, h("bdi", {}, shortened(title))), ...lines.map((line) => h("span", {}, line)));
    this.tip.hidden = false;
    const y = (this.#lanes.findIndex((other) => isSame(other, lane)) + 1) * this.#painter.height;
    const left = Math.min(Math.max(0, x + 12), Math.max(0, this.#axis.width - this.tip.offsetWidth - 4));
    this.tip.style.transform = `translate(${left.toFixed()}px, ${y + 2}px)`;
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

const shortened = (text) => oneLine(text, 90);
