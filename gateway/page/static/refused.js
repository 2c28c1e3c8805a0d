// What the gateway refused, in the form's words.

import { FieldError } from "./composer.js";

// A field of a request, as the gateway names it: `limits.max_turns`, `messages[0].content`.
const PATH = /(?:^(?:messages|replay)|\b(?:sampling|limits|tool_use)\.\w+)(?:\[\d+\]|\.\w+)*/g;

/** With the field of `form` that is to blame, where it has it; `param` names it, or else the message's first path. */
export function refusal({ message, param }, form) {
  const [path] = (param || message).match(PATH) ?? [];
  const words = message.replace(PATH, (other) => (other === "messages" ? "Messages" : nameOf(fieldOf(other, form)) ?? other));
  return new FieldError(path && fieldOf(path, form), words);
}

function fieldOf(path, form) {
  const [group, name] = path.split(/[.[]/);
  const { prompt, system, replay } = form.elements;
  if (group === "messages") return path.includes("[0]") && system.value ? system : prompt;
  if (group === "replay") return replay;
  if (name === "tools") return form.querySelector("[name=tool]");
  return name === "mode" ? form.querySelector("[name=mode]:checked") : form.elements.namedItem(name);
}

/** As the form names it; undefined where there is none. */
function nameOf(field) {
  return { mode: "Mode", tool: "Tools" }[field?.name] ?? field?.labels[0].textContent.split(":")[0];
}
