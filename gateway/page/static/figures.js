// Figures for people.

/** A duration in a few characters. */
export function seconds(value) {
  if (value < 0.00005) return "0 ms";
  if (value < 0.0995) return `${(value * 1000).toFixed(value < 0.00095 ? 1 : 0)} ms`;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} s`;
}

/** A whole number as people read it. `toLocaleString` takes 20 ms when it is first called. */
export const grouped = (number) => String(number).replace(/\B(?=(?:\d{3})+$)/g, ",");

export const count = (number, thing) => `${grouped(number)} ${thing}${number === 1 ? "" : "s"}`;

export const percent = (share) => `${Math.round(share * 100) || 0} %`;

export function agoWords(unixSeconds) {
  const ago = Math.max(0, Date.now() / 1000 - unixSeconds);
  if (ago < 45) return "now";
  if (ago < 5400) return `${Math.round(ago / 60)} min ago`;
  if (ago < 129600) return `${Math.round(ago / 3600)} h ago`;
  return new Date(unixSeconds * 1000).toLocaleDateString();
}
