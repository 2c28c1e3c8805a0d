// Text of models and tools is untrusted. It reaches the page as text nodes alone, and what a reader would not see, or
// what would turn the order of what is read, is spelled out: the set is that of gateway/cli/sanitise.py.

// The joiners U+200C and U+200D are left: scripts and emoji need them.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const spelled = (character) => {
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  if (code > 0xffff) return `\\u{${hex}}`;
  return code < 256 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`;
};

/** `text` with nothing in it that is not seen: an escape character becomes the four characters `\x1b`. */
export const inert = (text) => text.replace(/\r\n/g, "\n").replace(UNSEEN, spelled);

/** The same on one line of at most `width` characters. */
export function oneLine(text, width = 120) {
  const line = inert(text.slice(0, 4 * width)).replace(/\s+/g, " ").trim();
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** An element. `on…` of `attributes` are listeners; strings among `children` become text, whatever is in them. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);
