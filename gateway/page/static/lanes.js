// Which lanes a timeline has, and what they say: one for each turn's decoding, one for each call, and around them one
// for the title of a completion beside another or for all that one saved. `key` is what a lane is of.

import { count, seconds } from "./figures.js";
import { hiddenWords, nameOf, unitWords } from "./words.js";

/** From top to bottom. */
export function lanesOf(records) {
  return records.flatMap((record) => [...lanesOfOne(record, records.length > 1)]);
}

function* lanesOfOne(record, isBesideAnother) {
  if (isBesideAnother) yield { kind: "title", key: record, record };
  for (const turn of record.turns) {
    yield { kind: "turn", key: turn, record, turn };
    for (const call of turn.calls) yield { kind: "call", key: call, record, turn, call };
  }
  if (!isBesideAnother && saves(record)) yield { kind: "all", key: record, record };
}

/** Whether there is anything to say in a lane for all. */
export const saves = ({ ledger }) => ledger !== null && ledger.serial_seconds - ledger.completion_seconds > 0.005;

export const isSame = (one, other) => one.key === other.key && one.kind === other.kind;

export function nameOfLane({ kind, record, turn, call }) {
  if (kind === "title") return nameOf(record);
  if (kind === "turn") return `turn ${turn.number + 1}`;
  return kind === "call" ? call.label : "in all";
}

/** What is drawn in a lane, as a text that is another one when that has changed. */
export function stateOf({ kind, record, turn, call }) {
  const clock = record.over || Math.floor(record.now() * 4); // what goes on grows
  if (kind === "turn") {
    const { ticks, decodedAt, finishedAt, calls, veto } = turn;
    return `${ticks.length} ${decodedAt} ${finishedAt} ${calls.length} ${veto !== null} ${finishedAt === null && clock}`;
  }
  if (kind !== "call") return kind;
  return `${call.units.length} ${call.phase} ${call.turn.decodedAt} ${call.turn.veto !== null} ${call.over || clock}`;
}

/** A lane in words, or a unit of it: a title, and lines. */
export function wordsOf(lane, unit) {
  if (unit) return [unit.label || "other work", unitWords(lane.call, unit)];
  return WORDS[lane.kind](lane);
}

const WORDS = {
  title: ({ record }) => [nameOf(record), seconds(record.now())],
  all({ record }) {
    const { completion_seconds: took, serial_seconds: serial } = record.ledger;
    return ["In all", `took ${seconds(took)}`, `serial it would have taken ${seconds(serial)}`];
  },
  turn({ record, turn }) {
    const first = turn.ticks[0] ?? record.now();
    const end = turn.end(record.now());
    const tokens = `${count(turn.tokens, "token")} in ${seconds(Math.max(0, end - first))}`;
    const veto = turn.veto ? ["stopped by a tool"] : [];
    return [`Turn ${turn.number + 1}`, `prompt ${seconds(first - turn.begin)}`, tokens, ...veto];
  },
  call({ call }) {
    const end = call.endedAt === null ? "still runs" : `ended at ${seconds(call.endedAt)}`;
    const start = call.startedAt === null ? "has not run" : `ran from ${seconds(call.startedAt)}`;
    const busy = call.units.reduce((sum, unit) => sum + unit.busy, 0);
    const worked = `${count(call.units.length, "unit")} worked ${seconds(busy)}, ${hiddenWords(call.hidden, busy)}`;
    const named = `named at ${seconds(call.openedAt)}, ${start}, ${end}`;
    return [`${call.label}, ${call.phase}`, named, ...(call.units.length ? [worked] : [])];
  },
};

/** The unit at that second, or the nearest one `within` seconds of it. */
export function nearest(units, at, within) {
  let best = null;
  let least = within;
  for (const unit of units) {
    const distance = at < unit.from ? unit.from - at : Math.max(0, at - unit.at);
    if (distance < least || (distance === least && least === 0)) [best, least] = [unit, distance];
  }
  return best;
}
