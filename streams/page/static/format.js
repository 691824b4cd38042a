// Numbers as people read them. Computes nothing but units: the numbers are the API's.

import { current, t } from './messages.js';

const made = new Map();

function format(kind, options, language = current()) {
  const key = `${language} ${kind.name} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new kind(language, options));
  return made.get(key);
}

/** A format of times; `digits` where the browser has no names of months in this language, as Chromium has none in Uzbek: then as Russian writes them. */
function times(names, digits) {
  const isNamed = !/^M?\d/.test(format(Intl.DateTimeFormat, { month: 'long' }).format(0));
  return isNamed ? format(Intl.DateTimeFormat, names) : format(Intl.DateTimeFormat, digits, 'ru');
}

export const count = (n) => format(Intl.NumberFormat, { maximumFractionDigits: 0 }).format(n);

/** A count in little space: 12,345,678 is 12.3M. */
export function short(n) {
  return Math.abs(n) < 1e6 ? count(n) : format(Intl.NumberFormat, { notation: 'compact', maximumSignificantDigits: 4 }).format(n);
}

/** A share: 0.0312 is 3.12 %, 0.32 is 32 %. */
export function percent(rate) {
  const size = Math.abs(rate);
  const digits = size > 0 && size < 0.01 ? 2 : size < 0.995 && size !== 0 ? 1 : 0;
  return format(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: digits }).format(rate);
}

/** What differs from before: +12 %. */
export function change(rate) {
  return format(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: 1, signDisplay: 'exceptZero' }).format(rate);
}

export function points(difference) {
  const text = format(Intl.NumberFormat, { maximumFractionDigits: 2, signDisplay: 'exceptZero' }).format(100 * difference);
  return t('points', { n: text });
}

export function interval([low, high]) {
  const digits = high < 0.01 ? 2 : 1;
  const style = format(Intl.NumberFormat, { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${style.format(low)} – ${style.format(high)}`;
}

/** An amount in minor units; from 1,000 on without them. */
export function money(minor, { currency, currency_digits: digits }, sign = 'auto') {
  const amount = minor / 10 ** digits;
  const size = Math.abs(amount);
  const shown = size >= 1e3 || size === 0 ? 0 : digits;
  const more = size >= 1e7 ? { notation: 'compact', maximumSignificantDigits: 4 } : { minimumFractionDigits: shown, maximumFractionDigits: shown };
  return format(Intl.NumberFormat, { style: 'currency', currency, currencyDisplay: 'narrowSymbol', signDisplay: sign, ...more }).format(amount);
}

export const factor = (n) => `${format(Intl.NumberFormat, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(n)}×`;

const SPANS = [[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];

/** A span of time in its largest unit. */
export function span(seconds) {
  const [size, unit] = SPANS.find(([each]) => seconds >= each) ?? SPANS[3];
  const digits = unit === 'second' && seconds < 10 ? 1 : 0;
  return format(Intl.NumberFormat, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: digits }).format(seconds / size);
}

export function clock(ms, timezone) {
  return format(Intl.DateTimeFormat, { timeStyle: 'medium', timeZone: timezone }).format(ms);
}

export function moment(ms, timezone) {
  return times({ dateStyle: 'medium', timeStyle: 'medium', timeZone: timezone }, { dateStyle: 'short', timeStyle: 'medium', timeZone: timezone }).format(ms);
}

/** A day of the API, 2025-01-31, as people write it. */
export const day = (text) => times({ month: 'short', day: 'numeric', timeZone: 'UTC' }, { month: '2-digit', day: '2-digit', timeZone: 'UTC' }).format(new Date(`${text}T00:00Z`));

/** The label of a bucket: a minute or hour in the funnel's time zone, or its day. */
export function bucket(label, grain, timezone) {
  if (grain === 'day') return day(label);
  const at = new Date(grain === 'hour' ? label.replace('Z', ':00Z') : label);
  const clockOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: timezone };
  if (grain === 'minute') return format(Intl.DateTimeFormat, clockOptions).format(at);
  return times({ weekday: 'short', ...clockOptions }, { month: '2-digit', day: '2-digit', ...clockOptions }).format(at);
}

/** The day in a time zone, as the API takes it; `days` later. Of its parts: no language writes a date alike in all engines. */
export function isoDay(ms, timezone, days = 0) {
  const parts = new Intl.DateTimeFormat('en', { year: 'numeric', month: 'numeric', day: 'numeric', timeZone: timezone }).formatToParts(ms);
  const { year, month, day } = Object.fromEntries(parts.map((part) => [part.type, Number(part.value)]));
  return new Date(Date.UTC(year, month - 1, day + days)).toISOString().slice(0, 10);
}
