// The page: what is asked, and the address that says what is shown (`#ID`, or `#ID+ID` for two that are compared).

import { Api, ApiError, pathOf } from "./api.js";
import { Composer, FieldError } from "./composer.js";
import { EXAMPLES } from "./examples.js";
import { $, h, inert } from "./inert.js";
import { Recent } from "./recent.js";

const [FIRST, SECOND] = ["serial", "partial"];
const GONE =
  "There is no completion with this id any more, or it was asked for with another key. " +
  "Open another under Recent completions, or run it again.";
const PAUSED = "conveyor-compare"; // the first of two, while the second has not begun: a reload goes on with it

const api = new Api(askKey);
const composer = new Composer($("form"));
const recent = new Recent($("recent"), api);
// Nothing of it is needed before a completion is there, nor for the first paint.
const staged = import("./stage.js").then(({ Stage }) => new Stage(api, () => recent.refreshSoon()));
const refused = import("./refused.js").catch(() => ({ refusal: (error) => error })); // then in its own words
const isNarrow = matchMedia("(max-width: 860px)");
let doing = null; // what is under way: another thing that a reader does gives it up
let blamed = null; // the field that is said to be wrong

function show(stage, runs, focus = 0) {
  const address = `#${runs.map(({ id }) => encodeURIComponent(id)).join("+")}`;
  if (runs.length && location.hash !== address) history.pushState(null, "", address);
  stage.show(runs, focus);
  if (runs.length && isNarrow.matches) $("main").scrollIntoView(); // it is below the form there
  recent.mark(runs.map(({ id }) => id));
}

async function begin(stage, request) {
  const { id } = await api.json("/v1/completions", "POST", request).catch(async (error) => {
    throw error instanceof ApiError ? (await refused).refusal(error, $("form")) : error;
  });
  recent.refreshSoon();
  return stage.run(id, request);
}

/** Follows what has just been begun. Throws where it comes to nothing by a field of the form. */
async function follow(run, mine) {
  await run.follow();
  const { failed } = run.record;
  if (failed?.param && doing === mine) throw (await refused).refusal(failed, $("form"));
}

/** Shows what a reader has begun, and says of what ran before that it goes on. `mine`: it has not been given up. */
function present(stage, runs, mine) {
  const isLeft = doing !== mine || stage.runs.some((run) => !runs.includes(run) && !run.record.over);
  if (isLeft) $("left").textContent = "The run before was not stopped: it is under Recent completions.";
  if (doing === mine) show(stage, runs, runs.length - 1);
  return doing === mine;
}

async function run(request) {
  const mine = (doing = {});
  sessionStorage.removeItem(PAUSED);
  const stage = await staged;
  const one = await begin(stage, request);
  if (present(stage, [one], mine)) await follow(one, mine);
}

/** Runs it in two modes, one after the other. The second says what the first has said, so that they compare. */
async function compare(request) {
  const tool = $("tools").querySelector("input");
  if (!request.tool_use) throw new FieldError(tool, "Pick a tool first: without one there is nothing to compare.");
  const mine = (doing = {});
  const stage = await staged;
  const one = await begin(stage, { ...request, tool_use: { ...request.tool_use, mode: FIRST } });
  one.hasNext = true;
  if (!present(stage, [one], mine)) return;
  sessionStorage.setItem(PAUSED, one.id);
  await follow(one, mine);
  await compareWith(stage, one, mine);
}

async function compareWith(stage, one, mine) {
  let two = null;
  try {
    if (doing === mine && one.record.finished) two = await beginSecond(stage, one);
  } finally {
    one.hasNext = false;
    if (!two || doing !== mine) stage.offerStop();
  }
  if (!two) return;
  if (mine.isStopped) await cancel(two.id);
  else if (present(stage, [one, two], mine)) await follow(two, mine);
}

function beginSecond(stage, { record: { request }, transcript }) {
  sessionStorage.removeItem(PAUSED);
  return begin(stage, { ...request, replay: transcript.said(), tool_use: { ...request.tool_use, mode: SECOND } });
}

/** Shows completions that the gateway has, and follows those that still run. */
async function open(stage, ids) {
  const mine = (doing = {});
  if (sessionStorage.getItem(PAUSED) !== ids[0]) sessionStorage.removeItem(PAUSED); // another thing is looked at
  const details = await Promise.all(ids.map((id) => api.json(pathOf(id)))).catch((error) => {
    if (doing === mine) show(stage, []);
    throw error.status === 404 ? new ApiError(404, GONE) : error;
  });
  if (doing !== mine) return;
  const runs = details.map(({ id, request, mode, events, error, cut }) => {
    if (request.tool_use) request.tool_use.mode = mode;
    const one = stage.run(id, request);
    one.replay(events, error);
    one.isCut = cut;
    return one;
  });
  const isPaused = runs.length === 1 && sessionStorage.getItem(PAUSED) === ids[0];
  runs[0].hasNext = isPaused;
  show(stage, runs, runs.length - 1);
  const running = runs.filter(({ record }) => !record.over);
  if (!running.length) stage.rewind();
  await Promise.all(running.map((one) => one.follow()));
  if (isPaused) await compareWith(stage, runs[0], mine);
}

function addressed() {
  try {
    return location.hash.slice(1).split("+").filter(Boolean).map(decodeURIComponent).slice(0, 2);
  } catch {
    return [];
  }
}

async function route() {
  forgive();
  const ids = addressed();
  const stage = await staged;
  if (ids.join("+") === stage.runs.map(({ id }) => id).join("+")) return;
  if (ids.length) await attempt(() => open(stage, ids));
  else show(stage, [], (doing = null));
}

async function stop() {
  const stage = await staged;
  sessionStorage.removeItem(PAUSED);
  if (doing) doing.isStopped = true;
  doing = null;
  for (const { id, record } of stage.runs) if (!record.over) await cancel(id);
}

const cancel = (id) => api.json(`${pathOf(id)}/cancel`, "POST");

/** Fetched, and not linked to: a link sends no key. */
async function download(query, ending) {
  const { id } = (await staged).shown;
  const response = await api.send(pathOf(id) + query);
  const url = URL.createObjectURL(await response.blob());
  h("a", { href: url, download: id.replace(/[^\w.-]/g, "_") + ending }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Does it, and says what went wrong. */
async function attempt(work) {
  forgive();
  try {
    await work();
  } catch (error) {
    $("problem").textContent = inert(error.message);
    $("problem").hidden = false;
    if (error instanceof FieldError) blame(error.field);
    else if (!(error instanceof ApiError)) throw error;
  }
}

function blame(field) {
  if (!(blamed = field)) return;
  const around = field.closest("details");
  if (around) around.open = true;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", `problem ${field.getAttribute("aria-describedby") ?? ""}`.trim());
  field.focus();
}

/** Nothing is said to be wrong any more. */
function forgive() {
  $("problem").hidden = true;
  $("left").textContent = "";
  if (!blamed) return;
  const before = blamed.getAttribute("aria-describedby").slice("problem ".length);
  blamed.removeAttribute("aria-invalid");
  if (before) blamed.setAttribute("aria-describedby", before);
  else blamed.removeAttribute("aria-describedby");
  blamed = null;
}

function askKey(isRefused) {
  const dialog = $("key");
  const asked = "This gateway wants a key. It is kept for this tab alone.";
  $("key-said").textContent = isRefused ? "The gateway does not know this key." : asked;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const close = () => {
      resolve(dialog.returnValue === "use" ? $("key-value").value.trim() : null);
      $("key-value").value = "";
    };
    dialog.addEventListener("close", close, { once: true });
  });
}

$("form").addEventListener("input", forgive);
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const work = event.submitter === $("compare") ? compare : run;
  attempt(async () => work(composer.request()));
});
for (const button of document.querySelectorAll(".stop")) button.addEventListener("click", () => attempt(stop));
$("json").addEventListener("click", () => attempt(() => download("", ".json")));
$("perfetto").addEventListener("click", () => attempt(() => download("?format=perfetto", ".perfetto.json")));
$("again").addEventListener("click", async () => {
  forgive();
  composer.fillFrom((await staged).shown.record.request ?? {});
  $("prompt").focus();
});
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names completions
  $("main").focus();
});
addEventListener("hashchange", route);
$("examples").append(
  ...EXAMPLES.map(({ name, ...settings }) => {
    const blank = { system: "", choice: "auto", max_tokens: "", temperature: "", seed: "" };
    const onclick = () => {
      forgive();
      composer.fill({ ...blank, ...settings });
    };
    return h("button", { type: "button", onclick }, name);
  }),
);

$("tools-fold").open = !isNarrow.matches;

if (!location.hash) $("prompt").focus();

attempt(async () => composer.offer(await api.json("/v1/tools")));
recent.refresh();
route();
