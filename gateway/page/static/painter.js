// How a lane of the timeline looks.

import { sharp } from "./canvas.js";
import { seconds } from "./figures.js";

export class Painter {
  height = 0; // pixels of a lane
  theme = null;

  constructor(axis) {
    this.axis = axis;
  }

  /** Draws a lane at `y`, over what was there. `picked` is its unit that is pointed at, true for the lane itself. */
  draw(plot, lane, y, picked) {
    const { axis, height } = this;
    const [top, bottom] = [sharp(y), sharp(y + height)];
    plot.clearRect(0, top, axis.width, bottom - top);
    plot.fillStyle = this.theme.grid;
    for (const at of axis.marks()) plot.fillRect(Math.round(axis.x(at)), top, 1, bottom - top);
    if (lane.kind === "title") plot.fillRect(0, y + height - 1, axis.width, 1);
    else if (lane.kind === "turn") this.#drawTurn(plot, lane, y);
    else if (lane.kind === "call") this.#drawCall(plot, lane, y);
    else this.#drawSaved(plot, lane.record.ledger, y);
    if (picked) this.#drawPicked(plot, picked, y);
  }

  /** Text as it came; before it, the prompt; where it ended, a line; after that, thin, the wait for calls. */
  #drawTurn(plot, { record, turn }, y) {
    const { axis, theme } = this;
    const [middle, half] = [y + this.height / 2, this.height / 4];
    const last = turn.ticks[turn.ticks.length - 1] ?? turn.begin;
    const first = turn.ticks[0] ?? turn.decodedAt ?? record.now();
    plot.fillStyle = theme.prompt;
    plot.fillRect(axis.x(turn.begin), middle - 2, Math.max(0, (first - turn.begin) * axis.scale), 4);
    plot.fillStyle = theme["decode-soft"];
    plot.fillRect(axis.x(first), middle - half, Math.max(0, (last - first) * axis.scale), 2 * half);
    plot.fillStyle = theme.decode;
    plot.beginPath();
    let before = -Infinity;
    for (const tick of turn.ticks) {
      const x = Math.round(axis.x(tick));
      if (x - before >= 2) plot.rect((before = x), middle - half, 1, 2 * half);
    }
    plot.fill();
    if (turn.decodedAt === null) return;
    const parked = turn.calls.length ? (turn.finishedAt ?? record.now()) : turn.decodedAt;
    this.#line(plot, theme.faint, turn.decodedAt, parked, middle);
    plot.fillStyle = this.#colourOfEnd(turn);
    plot.fillRect(Math.round(axis.x(turn.decodedAt)), y + 3, turn.veto ? 2 : 1, this.height - 6);
  }

  #colourOfEnd(turn) {
    return turn.veto ? this.theme.error : this.theme.ink;
  }

  /** Where a turn's text ended, in the lane of a call and nowhere else: the lanes beside it may not be drawn again. */
  #drawTurnsEnd(plot, turn, y) {
    if (turn.decodedAt === null) return;
    plot.fillStyle = this.#colourOfEnd(turn);
    const x = Math.round(this.axis.x(turn.decodedAt));
    const [top, bottom] = [sharp(y), sharp(y + this.height)];
    for (let dash = Math.ceil(y / 6) * 6; dash < bottom; dash += 6) {
      const from = Math.max(dash, top);
      plot.fillRect(x, from, 1, Math.min(dash + 3, bottom) - from);
    }
  }

  /** Its units, what decoding hid of them filled and the rest hatched; thin, where it waited; dotted, before it ran. */
  #drawCall(plot, { record, call }, y) {
    const { theme } = this;
    const middle = y + this.height / 2;
    const end = call.endedAt ?? record.now();
    const start = call.startedAt ?? end;
    this.#drawTurnsEnd(plot, call.turn, y);
    this.#line(plot, theme.faint, call.openedAt, start, middle, 1.5, [1.5, 2.5]);
    this.#line(plot, theme.faint, start, end, middle);
    for (const [from, to] of call.awaited) this.#line(plot, theme.exposed, from, to ?? record.now(), middle, 3, [5, 3]);
    for (const unit of call.units) this.#drawUnit(plot, unit, call.turn.hides(unit.from, unit.at), middle);
    if (call.over) this.#drawEnd(plot, call, this.axis.x(end), middle);
  }

  #drawUnit(plot, unit, hidden, middle) {
    const { axis, theme } = this;
    const half = this.height / 3.4;
    const from = axis.x(unit.from);
    const to = Math.max(axis.x(unit.at), from + 2);
    const isWhole = unit.at - unit.from - hidden < 0.0005;
    const border = isWhole ? to : hidden > 0 ? Math.min(to, axis.x(unit.from + hidden)) : from;
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
    const [begin, end] = [Math.max(this.axis.x(from), -8), Math.min(this.axis.x(to), this.axis.width + 8)];
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
    plot.fillStyle = plot.strokeStyle = call.phase === "failed" ? this.theme.error : this.theme.faint;
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
    const { axis, theme } = this;
    const middle = y + this.height / 2;
    const [zero, end, serial] = [0, ledger.completion_seconds, ledger.serial_seconds].map((at) => axis.x(at));
    plot.fillStyle = theme.ink;
    plot.fillRect(zero, middle - 3, end - zero, 6);
    plot.strokeStyle = theme.hidden;
    plot.setLineDash([4, 3]);
    plot.strokeRect(end + 0.5, middle - 6.5, Math.max(1, serial - end - 1), 13);
    plot.setLineDash([]);
    const text = `about ${seconds(ledger.serial_seconds - ledger.completion_seconds)} saved`;
    plot.font = theme.font;
    plot.textBaseline = "middle";
    if (plot.measureText(text).width > serial - end - 12) return;
    plot.fillStyle = theme.muted;
    plot.fillText(text, end + 7, middle + 0.5);
  }

  #drawPicked(plot, picked, y) {
    const { axis } = this;
    plot.strokeStyle = this.theme.ink;
    if (picked === true) return plot.strokeRect(0.5, y + 1.5, axis.width - 1, this.height - 3);
    const from = axis.x(picked.from);
    plot.lineWidth = 2;
    plot.strokeRect(from - 2, y + 3, Math.max(2, axis.x(picked.at) - from) + 4, this.height - 6);
    plot.lineWidth = 1;
  }
}
