// What the figures of a completion mean, in sentences.

import { count, percent, seconds } from "./figures.js";

const LEAST_TOOL_SECONDS = 0.01; // less is nothing to speak of
const LEAST_SHARE = 0.005; // less is nothing in whole per cent
const UNSTEADY = 0.05; // difference in the time of a token
const STOPPED = {
  length: "The token limit stopped it.",
  turns: "The turn limit stopped it.",
  calls: "Calls were handed over to the client.",
};

/** How far a completion is. */
export function progressWords(record) {
  const turn = record.turns[record.turns.length - 1];
  if (!turn) return "Waiting for the model.";
  const calls = [...record.calls.values()];
  const waiting = record.waiting();
  if (waiting) {
    const left = Math.max(0, Math.round(waiting.awaitedUntil - record.now()));
    return `${waiting.label} waits for you to allow it: ${left} s are left.`;
  }
  return `${capital(turnWords(turn))}${callsWords(calls)}.`;
}

function turnWords({ number, decodedAt, tokens }) {
  const name = `turn ${number + 1}`;
  if (decodedAt !== null) return `${name} is written`;
  return tokens ? `writing ${name}, ${count(tokens, "token")}` : `reading the prompt of ${name}`;
}

function callsWords(calls) {
  const open = calls.filter((call) => !call.over);
  if (!open.length) return calls.length ? `, ${count(calls.length, "call")} done` : "";
  return `, ${open.length > 2 ? `${open.length} calls` : open.map((call) => call.label).join(" and ")} under way`;
}

/** Where the time of a completion went, in a sentence or two. */
export function ledgerWords(record) {
  const { ledger, finish_reason: reason } = record.finished;
  const stopped = reason === "turns" && wasOneTurn(record) ? "It had one turn, as asked." : STOPPED[reason];
  return [work(ledger, record), stopped].filter(Boolean).join(" ");
}

/** Whether one turn was asked for, and all that it called was done: then its end is no failure. */
function wasOneTurn({ request, calls }) {
  return request?.limits?.max_turns === 1 && [...calls.values()].every((call) => call.phase === "finished");
}

function work(ledger, record) {
  if (!record.calls.size) return "No tool was called.";
  if (ledger.tool_seconds < LEAST_TOOL_SECONDS) return "The tools had next to nothing to do, and so nothing to hide.";
  const tools = `Tools worked ${seconds(ledger.tool_seconds)}`;
  const share = 1 - ledger.completion_seconds / ledger.serial_seconds;
  if (share < LEAST_SHARE) return `${tools}, none of it hidden behind decoding.`;
  const whole = ledger.tool_seconds - ledger.hidden_seconds < 0.005;
  const hidden = whole ? "all of it" : `${seconds(ledger.hidden_seconds)} of it`;
  const ideal = typeof ledger.attained === "number" ? `; ${percent(ledger.attained)} of the ideal` : "";
  return `${tools}, ${hidden} hidden behind ${behind(ledger, record)}: ${percent(share)} sooner than serial would be${ideal}.`;
}

/** What hid the work: decoding, and other calls where they ran beside one another. */
function behind(ledger, record) {
  let byDecoding = 0;
  for (const call of record.calls.values()) if (!call.depth) byDecoding += call.hidden;
  if (ledger.hidden_seconds - byDecoding < 0.1 * ledger.hidden_seconds) return "decoding";
  return byDecoding < 0.1 * ledger.hidden_seconds ? "other calls" : "decoding and other calls";
}

/** Two completions of the same request, in a sentence: what the second saved. */
export function savingWords(one, other) {
  // The second may find the prompt in the cache that the first had to compute: that is no merit of its mode.
  const isUneven = Math.abs(promptSeconds(one) - promptSeconds(other)) > LEAST_SHARE * one.ledger.completion_seconds;
  const spent = (record) => record.ledger.completion_seconds - (isUneven ? promptSeconds(record) : 0);
  const [before, after] = [one, other].map(spent);
  const saved = before - after;
  const from = isUneven ? " once the prompt was read" : "";
  const took = `${capital(nameOf(other))} took ${seconds(after)}, ${nameOf(one)} ${seconds(before)}${from}`;
  if (Math.abs(saved) / before < LEAST_SHARE) return `${took}: as long.`;
  const difference = `${seconds(Math.abs(saved))} or ${percent(Math.abs(saved) / before)}`;
  return `${took}: ${difference} ${saved > 0 ? "sooner" : "later"}.`;
}

/** What to think of that: nothing, or that the machine had other work. As `conveyor demo` judges it. */
export function steadinessWords(one, other) {
  const tokenSeconds = (record) =>
    (record.ledger.decode_seconds - promptSeconds(record)) / record.finished.usage.completion_tokens;
  const [before, after] = [one, other].map(tokenSeconds);
  const change = Math.abs(after - before) / before;
  if (!(change > UNSTEADY)) return "";
  const token = `A token took ${percent(change)} ${after > before ? "more" : "less"} in the second`;
  return `${token}: something else keeps this machine busy, so trust what was hidden more.`;
}

const promptSeconds = (record) => record.turns[0]?.startedAt ?? 0;

const capital = (text) => text[0].toUpperCase() + text.slice(1);

export const nameOf = (record) => (record.mode || "no tools").replace("_", " ");

/** A unit of a call, with what decoding hid of it. */
export function unitWords(call, unit) {
  const hidden = hiddenWords(call.turn.hides(unit.from, unit.at), unit.busy);
  return `${seconds(unit.from)} to ${seconds(unit.at)}, worked ${seconds(unit.busy)}, ${hidden}`;
}

export function hiddenWords(hidden, busy) {
  const least = Math.max(0.0005, 0.02 * busy);
  if (busy - hidden < least) return "hidden behind decoding";
  return hidden < least ? "not hidden" : `${seconds(hidden)} of it hidden behind decoding`;
}
