// Figures in words.

const LEAST_TOOL_SECONDS = 0.01; // less is nothing to speak of
const LEAST_SHARE = 0.005; // less is nothing in whole per cent
const STOPPED = { length: "The token limit stopped it.", turns: "The turn limit stopped it.", calls: "Calls were handed over to the client." };

export function seconds(value) {
  if (value < 0.0995) return `${value < 0.00095 ? value * 1000 < 0.05 ? 0 : (value * 1000).toFixed(1) : Math.round(value * 1000)} ms`;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} s`;
}

export const percent = (share) => `${Math.round(share * 100) || 0} %`;

/** How far a completion is. */
export function progressWords(record) {
  const turn = record.turns[record.turns.length - 1];
  if (!turn) return "Waiting for the model.";
  const calls = [...record.calls.values()];
  const open = calls.filter((call) => !call.over);
  const waiting = open.find((call) => call.phase === "awaiting");
  if (waiting) return `${waiting.label} waits for you to allow it.`;
  const told = turn.decodedAt !== null ? `turn ${turn.number + 1} is written` : turn.tokens ? `writing turn ${turn.number + 1}, ${turn.tokens} tokens` : `reading the prompt of turn ${turn.number + 1}`;
  const named = open.length > 2 ? `${open.length} calls` : open.map((call) => call.label).join(" and ");
  return `${capital(told)}${open.length ? `, ${named} under way` : calls.length ? `, ${calls.length} ${calls.length > 1 ? "calls" : "call"} done` : ""}.`;
}

/** Where the time of a completion went, in a sentence or two. */
export function ledgerWords(record) {
  const { ledger, finish_reason: reason } = record.finished;
  return [work(ledger, record), STOPPED[reason]].filter(Boolean).join(" ");
}

function work(ledger, record) {
  if (!record.calls.size) return `${seconds(ledger.completion_seconds)}. No tool was called.`;
  if (ledger.tool_seconds < LEAST_TOOL_SECONDS) return `${seconds(ledger.completion_seconds)}. The tools had next to nothing to do, so there was nothing to hide.`;
  const tools = `Tools worked ${seconds(ledger.tool_seconds)}`;
  const share = 1 - ledger.completion_seconds / ledger.serial_seconds;
  if (share < LEAST_SHARE) return `${tools}, none of it hidden behind decoding.`;
  const whole = ledger.tool_seconds - ledger.hidden_seconds < 0.005;
  const hidden = whole ? "all of it" : `${seconds(ledger.hidden_seconds)} of it`;
  const ideal = typeof ledger.attained === "number" ? `; ${percent(ledger.attained)} of the ideal` : "";
  return `${tools}, ${hidden} hidden behind ${behind(ledger, record)}: ${percent(share)} sooner than serial${ideal}.`;
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
  const [before, after] = [one, other].map((record) => record.now());
  const saved = before - after;
  const took = `${capital(nameOf(other))} took ${seconds(after)}, ${nameOf(one)} ${seconds(before)}`;
  if (Math.abs(saved) / before < LEAST_SHARE) return `${took}: as long.`;
  return `${took}: ${seconds(Math.abs(saved))} or ${percent(Math.abs(saved) / before)} ${saved > 0 ? "sooner" : "later"}.`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

export const nameOf = (record) => (record.mode || "no tools").replace("_", " ");

/** A unit of a call, with what decoding hid of it. */
export function unitWords(call, unit) {
  return `${seconds(unit.from)} to ${seconds(unit.at)}, worked ${seconds(unit.busy)}, ${hiddenWords(call.turn.hides(unit.from, unit.at), unit.busy)}`;
}

export function hiddenWords(hidden, busy) {
  if (busy - hidden < 0.0005 || busy - hidden < 0.02 * busy) return "hidden behind decoding";
  return hidden < 0.0005 || hidden < 0.02 * busy ? "not hidden" : `${seconds(hidden)} of it hidden behind decoding`;
}

export function agoWords(unixSeconds) {
  const ago = Math.max(0, Date.now() / 1000 - unixSeconds);
  if (ago < 45) return "now";
  if (ago < 5400) return `${Math.round(ago / 60)} min ago`;
  if (ago < 129600) return `${Math.round(ago / 3600)} h ago`;
  return new Date(unixSeconds * 1000).toLocaleDateString();
}
