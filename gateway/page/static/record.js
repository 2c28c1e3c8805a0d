// What is known of one completion: events go in, and what is drawn comes out. The twin of gateway/archive/lanes.py.
//
// Times are seconds since the request reached the decoder, on its clock. A unit that ended at `at` after `busy` seconds
// was worked on in [at - busy, at]; what of that fell before its turn's last token is hidden behind decoding.

import { oneLine } from "./inert.js";

const LEAST_REST_SECONDS = 0.0005; // of work that no unit accounts for; less is the clock's

export class Record {
  turns = [];
  calls = new Map();
  at = 0;
  finished = null;
  failed = null;
  #heardMs = performance.now();

  /** `mode` is empty where there are no tools. */
  constructor(id, request) {
    this.id = id;
    this.request = request;
    this.mode = request.tool_use?.mode ?? "";
  }

  get over() {
    return this.finished !== null || this.failed !== null;
  }

  get ledger() {
    return this.finished?.ledger ?? null;
  }

  /** The call that waits for a person, the latest where there are several. */
  waiting() {
    return [...this.calls.values()].findLast((call) => call.phase === "awaiting");
  }

  /** Seconds up to now, or to the end of a completion that is over. */
  now() {
    if (this.over) return Math.max(this.at, this.ledger?.completion_seconds ?? 0);
    return this.turns.length || this.calls.size ? this.at + (performance.now() - this.#heardMs) / 1000 : 0;
  }

  /** Takes the next event; one of a kind that is not known changes nothing. */
  apply(kind, data, at) {
    this.#heardMs = performance.now();
    if (kind === "finished") this.finished = data;
    else if (kind === "failed") this.failed = data;
    else {
      this.at = at;
      if (kind in TURN) TURN[kind](this, data, at);
      else if (kind === "call_opened") this.#open(data, at);
      else if (kind in CALL && this.calls.has(data.call_id)) {
        const call = this.calls.get(data.call_id);
        if (call.phase === "awaiting") call.goOn(at);
        CALL[kind](call, data, at);
      }
    }
    if (this.over) for (const call of this.calls.values()) call.stop(this.at);
  }

  turn() {
    if (!this.turns.length) this.turns.push(new Turn(0, 0));
    return this.turns[this.turns.length - 1];
  }

  #open(data, at) {
    const turn = this.turn();
    const same = [...this.calls.values()].filter((call) => call.name === data.name).length;
    const label = oneLine(data.name, 40) + (same ? ` ${same + 1}` : "");
    const call = new Call(data, label, turn, at, (this.calls.get(data.parent_id)?.depth ?? -1) + 1);
    this.calls.set(call.id, call);
    turn.calls.push(call);
  }
}

class Turn {
  calls = [];
  ticks = []; // when each piece of text was there
  lengths = []; // how long the text was then, in code points
  startedAt = null;
  decodedAt = null;
  finishedAt = null;
  reason = "";
  tokens = 0;
  veto = null;

  /** Its prompt is computed from `begin` on. */
  constructor(number, begin) {
    this.number = number;
    this.begin = begin;
  }

  /** Of the work in `[from, to]`, what decoding hid. */
  hides(from, to) {
    const until = this.decodedAt === null ? to : this.decodedAt;
    return Math.max(0, Math.min(to, until) - from);
  }

  end(now) {
    return this.decodedAt ?? now;
  }
}

class Call {
  phase = "opened"; // running, awaiting, finished, failed, handed over, stopped
  startedAt = null;
  endedAt = null;
  units = [];
  awaited = []; // [from, to] in which it waited to be allowed; the last may have no end yet
  awaitedUntil = 0;
  busy = 0;

  constructor(data, label, turn, at, depth) {
    const { call_id: id, name, text_offset: offset } = data;
    Object.assign(this, { id, name, label, turn, depth, openedAt: at, offset });
  }

  get over() {
    return this.endedAt !== null;
  }

  get hidden() {
    return this.units.reduce((sum, unit) => sum + this.turn.hides(unit.from, unit.at), 0);
  }

  work(data, at) {
    const before = this.units[this.units.length - 1];
    const begins = before ? before.offset : this.offset;
    const from = Math.max(0, at - data.busy_seconds);
    this.units.push({ label: data.label, at, from, busy: data.busy_seconds, offset: data.text_offset, begins });
  }

  /** It has ended after `busy` seconds of work; what is in none of its units ended with it. */
  end(data, at) {
    const rest = data.busy_seconds - this.units.reduce((sum, unit) => sum + unit.busy, 0);
    const offset = this.units[this.units.length - 1]?.offset ?? this.offset;
    if (rest >= LEAST_REST_SECONDS) this.work({ label: "", text_offset: offset, busy_seconds: rest }, at);
    this.phase = data.error ? "failed" : data.handed_over ? "handed over" : "finished";
    Object.assign(this, { endedAt: at, busy: data.busy_seconds });
  }

  goOn(at) {
    this.phase = "running";
    this.awaited[this.awaited.length - 1][1] = at;
  }

  /** The completion is over, and so is what had not ended. */
  stop(at) {
    if (this.over) return;
    if (this.phase === "awaiting") this.goOn(at);
    this.phase = "stopped";
    this.endedAt = Math.max(at, this.openedAt);
  }
}

const TURN = {
  turn_started(record, data, at) {
    const before = record.turns[record.turns.length - 1];
    const turn = new Turn(data.turn, before?.finishedAt ?? before?.decodedAt ?? 0);
    turn.startedAt = at;
    record.turns.push(turn);
  },
  text_delta(record, data, at) {
    const turn = record.turn();
    turn.ticks.push(at);
    turn.lengths.push((turn.lengths[turn.lengths.length - 1] ?? 0) + codePoints(data.text));
    turn.tokens += data.token_ids?.length ?? 1;
  },
  turn_decoded(record, data, at) {
    Object.assign(record.turn(), { decodedAt: at, reason: data.finish_reason });
  },
  turn_finished(record, _data, at) {
    record.turn().finishedAt = at;
  },
  turn_vetoed(record, data, at) {
    record.turn().veto = { at, callId: data.call_id, reason: data.reason };
  },
};

const CALL = {
  call_started(call, _data, at) {
    call.phase = "running";
    call.startedAt = at;
  },
  unit_finished: (call, data, at) => call.work(data, at),
  arguments_delta() {},
  call_output() {},
  call_artifact() {},
  approval_awaited(call, data, at) {
    call.phase = "awaiting";
    call.awaited.push([at, null]);
    call.awaitedUntil = at + data.timeout_seconds;
  },
  call_finished: (call, data, at) => call.end(data, at),
};

function codePoints(text) {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
