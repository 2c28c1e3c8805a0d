// The timeline as a table, for those who read it.

import { count, grouped } from "./figures.js";
import { h, oneLine } from "./inert.js";
import { nameOf } from "./words.js";

const HEADINGS = ["Lane", "What", "From, s", "To, s", "Worked, s", "Hidden, s"];
const MOST_ROWS = 2000;

export function tableOf(records) {
  const rows = records.flatMap((record) => [...rowsOf(record, records.length > 1 ? `${nameOf(record)}, ` : "")]);
  const left = rows.length - MOST_ROWS;
  const note = left > 0 ? h("p", {}, `${grouped(left)} more rows are in the JSON.`) : null;
  const head = h("tr", {}, ...HEADINGS.map((heading) => h("th", { scope: "col" }, heading)));
  const body = rows.slice(0, MOST_ROWS).map(([lane, ...cells]) =>
    h("tr", {}, h("th", { scope: "row" }, h("bdi", {}, lane)), ...cells.map((cell) => h("td", {}, textOf(cell)))),
  );
  const caption = h("caption", { class: "unseen" }, "The timeline: turns, calls and units with their times");
  return h("div", {}, h("table", {}, caption, h("thead", {}, head), h("tbody", {}, ...body)), note);
}

const textOf = (cell) => (typeof cell === "number" ? cell.toFixed(3) : oneLine(cell));

function* rowsOf(record, prefix) {
  for (const turn of record.turns) {
    const lane = `${prefix}turn ${turn.number + 1}`;
    const first = turn.ticks[0] ?? turn.decodedAt ?? record.at;
    yield [lane, "prompt", turn.begin, first, "", ""];
    yield [lane, count(turn.tokens, "token"), first, turn.decodedAt ?? record.at, "", ""];
    for (const call of turn.calls) {
      const lane = prefix + call.label;
      yield [lane, call.phase, call.startedAt ?? call.openedAt, call.endedAt ?? record.at, call.busy, call.hidden];
      for (const { label, from, at, busy } of call.units) {
        yield [lane, label || "other work", from, at, busy, turn.hides(from, at)];
      }
    }
  }
}
