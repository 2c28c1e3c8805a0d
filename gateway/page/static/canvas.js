// Canvases as sharp as the screen, in the colours of the style sheet, of which they know nothing.

const COLOURS = [
  "ink", "muted", "faint", "grid", "surface",
  "prompt", "decode", "decode-soft", "hidden", "exposed", "error",
];

const ratio = () => Math.min(2, devicePixelRatio || 1);

/** The nearest place at which a pixel of the screen begins: what is cleared from there on leaves no traces. */
export const sharp = (at) => Math.round(at * ratio()) / ratio();

/** What draws on a canvas of that size in CSS pixels; one that had another size is empty now. */
export function prepared(canvas, width, height) {
  const [columns, lines] = [Math.round(width * ratio()), Math.round(height * ratio())];
  if (canvas.width !== columns || canvas.height !== lines) {
    Object.assign(canvas, { width: columns, height: lines });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  return context;
}

/** Colours by name, the hatching of what was not hidden, and the font of what is written. */
export function themeOf(root) {
  const style = getComputedStyle(root);
  const theme = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...theme, font: `11px ${style.fontFamily}`, hatch: hatch(theme.exposed) };
}

function hatch(colour) {
  const tile = Object.assign(document.createElement("canvas"), { width: 6, height: 6 });
  const context = tile.getContext("2d");
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  for (const shift of [-6, 0, 6]) {
    context.moveTo(shift - 1, 7);
    context.lineTo(shift + 7, -1);
  }
  context.stroke();
  return context.createPattern(tile, "repeat");
}
