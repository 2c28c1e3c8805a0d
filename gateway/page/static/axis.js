// The timeline's axis: which seconds are shown, and where.

import { prepared } from "./canvas.js";

export const PAD = 10; // pixels before the first second, and twice as many after the last
const HEIGHT = 24; // pixels
const MARK = 70; // pixels from one mark to the next, or more
const LEAST = 0.002; // seconds of the closest look
const STEPS = [1, 2, 5, 10];

export class Axis {
  width = 0; // pixels
  from = 0; // seconds
  to = 1;
  scale = 0; // pixels a second
  #end = 1; // seconds that there are to show
  #view = null; // [from, to] where a reader has zoomed in

  /** Shows all of `end` seconds, or the part of them that a reader has chosen. */
  fit(end) {
    this.#end = end;
    [this.from, this.to] = this.#view ?? [0, end];
    this.scale = (this.width - 3 * PAD) / (this.to - this.from);
    this.step = roundAbove(((this.to - this.from) * MARK) / this.width, STEPS);
  }

  x(at) {
    return PAD + (at - this.from) * this.scale;
  }

  time(x) {
    return this.from + (x - PAD) / this.scale;
  }

  *marks() {
    const { from, to, step } = this;
    for (let number = Math.ceil(from / step); number * step <= to + step / 1e6; number++) yield number * step;
  }

  // --- a closer look -----------------------------------------------------------------------------------------------

  get isZoomed() {
    return this.#view !== null;
  }

  /** All, at the next `fit`. */
  reset() {
    this.#view = null;
  }

  /** `factor` times as much around a place, at the next `fit`. */
  zoom(factor, x = this.width / 2) {
    if (!this.width || !this.scale) return; // nothing is shown
    const before = this.to - this.from;
    const length = Math.max(before * factor, LEAST);
    if (length >= this.#end * 0.999) return this.reset();
    const at = this.time(x);
    this.#show(at - ((at - this.from) / before) * length, length);
  }

  /** What comes `bySeconds` later, at the next `fit`. */
  pan(bySeconds) {
    if (this.isZoomed) this.#show(this.from + bySeconds, this.to - this.from);
  }

  #show(from, length) {
    const begin = Math.min(Math.max(0, from), this.#end - length);
    this.#view = [begin, begin + length];
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  draw(canvas, theme) {
    const { width } = this;
    const context = prepared(canvas, width, HEIGHT);
    context.clearRect(0, 0, width, HEIGHT);
    context.fillStyle = theme.muted;
    context.font = theme.font;
    context.textBaseline = "middle";
    for (const at of this.marks()) {
      const text = at ? `${+at.toPrecision(6)} s` : "0";
      const room = context.measureText(text).width;
      context.fillText(text, Math.min(Math.max(0, Math.round(this.x(at)) - room / 2), width - room), HEIGHT / 2);
    }
  }
}

/** The least round number that is not below `value`: one of `numbers`, from 1 to 10, times a power of ten. */
export function roundAbove(value, numbers) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * numbers.find((number) => number * power >= value * 0.9999);
}
