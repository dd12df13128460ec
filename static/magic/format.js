const WHOLE = new Intl.NumberFormat("en-US");

/** @param {number} value */
export function count(value) {
  return WHOLE.format(value);
}

/**
 * US dollars with three significant digits below a cent: an answer may well cost a hundred-thousandth of a dollar.
 *
 * @param {number} value
 */
export function dollars(value) {
  if (value === 0) return "$0";
  if (value >= 0.1) return `$${value.toFixed(2)}`;
  const digits = Math.min(12, Math.max(4, 2 - Math.floor(Math.log10(value))));
  return `$${value.toFixed(digits).replace(/0+$/, "")}`;
}

/** @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min` + (seconds % 60 === 0 ? "" : ` ${seconds % 60} s`);
}
