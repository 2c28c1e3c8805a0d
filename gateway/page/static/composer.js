// The form: what is asked, with which tools, and how.

import { $, h, oneLine } from "./inert.js";

const MODES = {
  partial: "Each call runs while it is still being written.",
  on_seal: "Each call runs once it is complete.",
  parallel: "Calls run after their turn, all at once.",
  serial: "Calls run after their turn, one after the other.",
};
const NUMBERS = ["max_tokens", "max_turns", "temperature", "seed"];
const FIELDS = ["prompt", "system", "format", "mode", "choice", "replay", ...NUMBERS];
const EFFECTS = { write: "changes the world", idempotent: "changes the world", read: "reads the world" };
const FIRST_TOOLS = ["python", "calculator"];
const KEPT = "conveyor-form";

export class Composer {
  #tools = [];
  #formats = [];

  constructor(form) {
    this.form = form;
    this.fields = form.elements;
    form.addEventListener("input", () => this.#changed());
    this.fields.prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit($("run"));
    });
    this.#changed();
  }

  /** Offers what the gateway has; `{tools, formats}`. */
  offer({ tools, formats }) {
    [this.#tools, this.#formats] = [tools, formats];
    const chosen = tools.filter(({ name }) => FIRST_TOOLS.includes(name)).map(({ name }) => name);
    $("tools").replaceChildren(...tools.map((tool) => choiceOf(tool, chosen.includes(tool.name))));
    if (!tools.length) $("tools").append(h("p", { class: "note" }, "The tool service offers none."));
    const known = formats.map(({ name }) => h("option", { value: name }, name));
    this.fields.format.replaceChildren(h("option", { value: "" }, "the one that fits"), ...known);
    this.fill(kept() ?? {});
  }

  /** Shows these settings; what is left out stays as it is. */
  fill({ prompt, system, tools, format, mode, choice, max_tokens, max_turns, temperature, seed, replay }) {
    const plain = { prompt, system, format, max_tokens, max_turns, temperature, seed };
    const values = { ...plain, replay: replay && replayText(replay) };
    for (const [name, value] of Object.entries(values)) if (value !== undefined) this.fields[name].value = value;
    if (mode && mode in MODES) this.fields.mode.value = mode;
    if (tools) for (const box of this.#boxes()) box.checked = tools.includes(box.value);
    this.#changed();
    if (choice !== undefined) this.fields.choice.value = choice || "auto";
    if (!this.fields.choice.value) this.fields.choice.value = "auto";
    this.#changed();
  }

  /** The settings of a request that the gateway was given before. */
  fillFrom(request) {
    const { messages = [], tool_use: use, sampling = {}, limits = {}, replay = [] } = request;
    const said = (role) => messages.findLast((message) => message.role === role)?.content ?? "";
    this.fill({
      prompt: said("user"),
      system: said("system"),
      tools: use?.tools ?? [],
      format: use?.format ?? "",
      mode: use?.mode,
      choice: use?.choice ?? "auto",
      max_tokens: limits.max_tokens || "",
      max_turns: limits.max_turns || "",
      temperature: sampling.temperature || "",
      seed: sampling.seed ?? "",
      replay,
    });
  }

  /** What is asked, as the gateway wants it. Throws a FieldError. */
  request() {
    const { prompt, system, temperature, seed, max_tokens, max_turns, replay, mode } = this.fields;
    if (!prompt.value.trim()) throw new FieldError(prompt, "Write a prompt first.");
    for (const field of NUMBERS.map((name) => this.fields[name])) {
      if (field.validity.valid) continue;
      throw new FieldError(field, `${field.labels[0].textContent}: ${field.validationMessage}`);
    }
    const told = system.value ? [{ role: "system", content: system.value }] : [];
    const request = {
      messages: [...told, { role: "user", content: prompt.value }],
      sampling: { temperature: Number(temperature.value), ...(seed.value && { seed: Number(seed.value) }) },
      limits: { max_tokens: Number(max_tokens.value), max_turns: Number(max_turns.value) },
      replay: turnsOf(replay.value),
    };
    const use = this.#toolUse(mode.value);
    return use ? { ...request, tool_use: use } : request;
  }

  #toolUse(mode) {
    const tools = this.#chosen();
    if (!tools.length) return null;
    const format = this.fields.format.value || this.#fittingFormat(tools);
    return { format, tools, mode, choice: this.fields.choice.value, stream_arguments: true };
  }

  /** As `conveyor ask` chooses it. */
  #fittingFormat(tools) {
    return tools.length === 1 && tools[0] === "python" ? "code_block" : "json";
  }

  #boxes() {
    return [...$("tools").querySelectorAll("input")];
  }

  #chosen() {
    return this.#boxes().filter((box) => box.checked).map((box) => box.value);
  }

  #changed() {
    const { choice, format, mode } = this.fields;
    const tools = this.#chosen();
    const before = choice.value;
    const options = ["auto", "none", "required", ...tools];
    if ([...choice.options].map((option) => option.value).join("\n") !== options.join("\n")) {
      choice.replaceChildren(...options.map((value) => h("option", { value }, oneLine(value, 60))));
      choice.value = options.includes(before) ? before : "auto";
    }
    const fitting = format.value || (tools.length ? this.#fittingFormat(tools) : "");
    $("format-said").textContent = this.#formats.find(({ name }) => name === fitting)?.description ?? "";
    $("mode-said").textContent = MODES[mode.value];
    $("tools-said").textContent = tools.length ? `${tools.length} of ${this.#boxes().length}` : "none";
    if (this.#tools.length) this.#keep();
  }

  /** A reload finds the form as it was. */
  #keep() {
    const values = Object.fromEntries(FIELDS.map((name) => [name, this.fields[name].value]));
    sessionStorage.setItem(KEPT, JSON.stringify({ ...values, tools: this.#chosen() }));
  }
}

/** Something is wrong with a field; `field` is its element. */
export class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

function kept() {
  try {
    const values = JSON.parse(sessionStorage.getItem(KEPT));
    return values && { ...values, replay: values.replay ? [values.replay] : [] };
  } catch {
    return null;
  }
}

function choiceOf({ name, description, effect, partial }, checked) {
  const sentence = oneLine(description.split(/(?<=\.)\s|\n/)[0], 110);
  const facts = [partial && "starts early", EFFECTS[effect]].filter(Boolean).map((fact) => h("i", {}, fact));
  return h(
    "label",
    { class: "tool", title: oneLine(description, 600) },
    h("input", { type: "checkbox", name: "tool", value: name, checked }),
    h("span", {}, h("code", {}, oneLine(name, 60)), h("small", {}, ...facts, sentence)),
  );
}

/** One turn as it is; several as a JSON list. */
const replayText = (turns) => (turns.length > 1 ? JSON.stringify(turns, null, 1) : (turns[0] ?? ""));

/** The turns in a replay: plain text, a JSON list of them, or what `conveyor ask --json` printed. */
export function turnsOf(text) {
  if (!text) return [];
  try {
    const data = JSON.parse(text);
    const turns = Array.isArray(data) ? data : data?.turns;
    const texts = turns.map((turn) => (typeof turn === "string" ? turn : turn.text));
    if (texts.length && texts.every((turn) => typeof turn === "string")) return texts;
  } catch {
    // it is what the model is to say
  }
  return [text];
}
