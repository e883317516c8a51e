// Decimal text, exactly: prices and sizes come as canonical decimal strings and
// are compared, added and shown without ever becoming a float. A decimal is held
// as its digits (BigInt) and how many of them stand after the point.

const MINUS = '\u2212';

/** Reads decimal text into {m, d}: the value is m / 10^d. Throws on other text. */
export function parse(text) {
  if (typeof text !== 'string' || !/^-?\d+(\.\d+)?$/.test(text)) throw new TypeError(`not a decimal: ${text}`);
  const point = text.indexOf('.');
  if (point < 0) return { m: BigInt(text), d: 0 };
  return { m: BigInt(text.slice(0, point) + text.slice(point + 1)), d: text.length - point - 1 };
}

/** Writes {m, d} as canonical text: no trailing zeros after the point, no "-0". */
export function toText({ m, d }) {
  const text = fixed(m, d);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Orders two decimals: negative, zero or positive. */
export function compare(a, b) {
  const [x, y] = align(parse(a), parse(b));
  return x < y ? -1 : x > y ? 1 : 0;
}

export function add(a, b) {
  const x = parse(a), y = parse(b);
  const [m, n, d] = align(x, y);
  return toText({ m: m + n, d });
}

export function subtract(a, b) {
  const [m, n, d] = align(parse(a), parse(b));
  return toText({ m: m - n, d });
}

/** The exact middle of two prices; it may need one decimal more than they have. */
export function middle(a, b) {
  const [m, n, d] = align(parse(a), parse(b));
  return toText({ m: (m + n) * 5n, d: d + 1 });
}

/** a × 10^scale / b as text with so many decimals, half away from zero; null where b is zero. */
export function ratio(a, b, decimals, scale = 0) {
  const [m, n] = align(parse(a), parse(b));
  if (n === 0n) return null;
  return fixed(divide(m * 10n ** BigInt(decimals + scale), n), decimals);
}

export function isZero(text) {
  return parse(text).m === 0n;
}

export function isNegative(text) {
  return parse(text).m < 0n;
}

/** How many decimals a text has. */
export function decimalsOf(text) {
  const point = text.indexOf('.');
  return point < 0 ? 0 : text.length - point - 1;
}

/**
 * A price with thousands separators and at least so many decimals. Digits are
 * never cut off: a finer price than announced is shown as fine as it is.
 */
export function price(text, decimals = 0) {
  const { m, d } = parse(text);
  const shown = Math.max(d, decimals);
  return group(fixed(m * 10n ** BigInt(shown - d), shown));
}

/** A signed difference: like price, with + or − always there, except at zero. */
export function signed(text, decimals = 0) {
  const shown = price(text, decimals);
  return parse(text).m > 0n ? `+${shown}` : shown;
}

/** A size rounded to so many decimals; what is too small to show is "<0.001", never "0.000". */
export function size(text, decimals) {
  const rounded = round(parse(text), decimals);
  if (rounded === 0n && !isZero(text)) return `<${fixed(1n, decimals)}`;
  return group(fixed(rounded, decimals));
}

/** The same, with no more decimals than it needs: 100 is "100", 11.05 is "11.05". */
export function looseSize(text, most) {
  return size(text, Math.min(most, decimalsOf(text)));
}

/**
 * How many decimals of a size are worth showing: a unit in the last place is
 * worth one to ten of what the price counts in, so BTC gets four, shares none.
 */
export function sizeDecimals(priceText, most) {
  const whole = priceText.replace('-', '').split('.')[0];
  return Math.max(0, Math.min(whole.length - 1, most));
}

const UNITS = [[12, 'T'], [9, 'B'], [6, 'M'], [3, 'K']];

/** A large quantity in about four digits: "1.204M". Below 10,000 it is only rounded. */
export function compact(text) {
  const { m, d } = parse(text);
  const digits = (m < 0n ? -m : m).toString().length - d; // before the point
  for (const [power, unit] of digits > 4 ? UNITS : []) {
    // Rounding to four digits may carry into the next unit: 999,999 is 1.000M.
    const keep = Math.min(3, Math.max(0, 3 - (digits - power - 1)));
    const rounded = round({ m, d: d + power }, keep);
    if (rounded >= 10n ** BigInt(keep) || -rounded >= 10n ** BigInt(keep)) return group(fixed(rounded, keep)) + unit;
  }
  const keep = Math.min(d, Math.max(0, 4 - Math.max(digits, 0)));
  return group(fixed(round({ m, d }, keep), keep));
}

/** A whole number with thousands separators. */
export function count(n) {
  return group(String(Math.round(n)));
}

/** Wall-clock time of day of µs since the epoch, local, to the millisecond. */
export function clock(micros) {
  const t = new Date(micros / 1000);
  const two = (n) => String(n).padStart(2, '0');
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${String(t.getMilliseconds()).padStart(3, '0')}`;
}

/** A span of milliseconds in one unit: "180 µs", "1.4 ms", "3 s", "2 min", "5 h". */
export function span(ms) {
  if (ms < 1) return `${Math.max(0, Math.round(ms * 1000))} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return longSpan(ms);
}

/** A span in whole seconds, minutes, hours or days. */
export function longSpan(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return s < 172_800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** An identifier of the protocol as words: "trading_halt" is "trading halt". */
export function words(name) {
  return name.replaceAll('_', ' ');
}

function align(x, y) {
  const d = Math.max(x.d, y.d);
  return [x.m * 10n ** BigInt(d - x.d), y.m * 10n ** BigInt(d - y.d), d];
}

/** The digits at so many decimals, half away from zero. */
function round({ m, d }, decimals) {
  return d > decimals ? divide(m, 10n ** BigInt(d - decimals)) : m * 10n ** BigInt(decimals - d);
}

/** Divides, rounding half away from zero. */
function divide(m, n) {
  if (n < 0n) [m, n] = [-m, -n];
  return m < 0n ? -((-m * 2n + n) / (2n * n)) : (m * 2n + n) / (2n * n);
}

function fixed(m, d) {
  const digits = (m < 0n ? -m : m).toString().padStart(d + 1, '0');
  const text = d === 0 ? digits : `${digits.slice(0, -d)}.${digits.slice(-d)}`;
  return m < 0n ? `-${text}` : text;
}

function group(text) {
  const [whole, fraction] = text.split('.');
  const grouped = whole.replace('-', MINUS).replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
