// What the gateway refused, in the form's words.

import { FieldError } from "./composer.js";

/** With the field of `form` that is to blame, where it has it: `param` names it, and the message may begin so. */
export function refusal({ message, param }, form) {
  const field = param ? fieldOf(param, form) : null;
  const name = param === "messages" ? "Messages" : nameOf(field);
  const begins = name && message.startsWith(param);
  return new FieldError(field, begins ? name + message.slice(param.length) : message);
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
