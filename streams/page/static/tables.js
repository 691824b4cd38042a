// Tables of a role's view, and of a pair of dimensions. Rows and columns are the API's.

import { el, fill, name } from './dom.js';
import * as f from './format.js';
import { t, term } from './messages.js';

const SHOWN = 12;

const UNITS = {
  count: (n) => f.count(n),
  money: (n, funnel) => f.money(n, funnel),
  share: (n) => f.percent(n),
  factor: (n) => f.factor(n),
  seconds: (n) => (n === null || !Number.isFinite(n) ? '–' : `≤ ${f.span(n)}`),
};

/** What a role looks at, by channel or by manager. */
export function showView(section, funnel, { table, view }) {
  const [whole, ...rows] = table.rows;
  section.hidden = false;
  const dimension = rows[0]?.dim.split('=')[0] ?? '';
  const most = table.columns.map((_, at) => Math.max(0, ...rows.map((row) => row.numbers[at] ?? 0)));
  const line = (row, isWhole) => el('tr', { class: isWhole ? 'whole' : null },
    el('th', { scope: 'row' }, isWhole ? t('all') : name(term(row.dim.slice(dimension.length + 1), dimension))),
    row.numbers.map((n, at) => el('td', {}, n === null ? '–' : UNITS[table.columns[at].unit](n, funnel),
      at === 0 && !isWhole && most[at] ? el('span', { class: 'mini', 'aria-hidden': 'true', style: { '--share': n / most[at] } }) : null)));
  const hidden = rows.length - SHOWN;
  fill(section,
    el('h2', {}, t(`table.${view}`, { dimension: term(dimension || 'channel') })),
    el('div', { class: 'card wide', tabindex: '0', role: 'region', 'aria-label': t(`table.${view}`, { dimension: term(dimension || 'channel') }) },
      el('table', { class: 'numbers' },
        el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, term(dimension || 'channel')), table.columns.map((column) => el('th', { scope: 'col', title: t(`column.${column.name}`) }, t(`column.${column.name}`))))),
        el('tbody', {}, line(whole, true), rows.slice(0, SHOWN).map((row) => line(row, false))))),
    hidden > 0 ? el('p', { class: 'hint' }, t('more-rows', { n: f.count(hidden) })) : null);
}

/** A pair of dimensions: a row for each value of the first, a column for each of the second. */
export function showMatrix(section, funnel, pair, cells) {
  const [rowName, columnName] = pair.split('|');
  const known = cells.map((cell) => ({ cell, at: splitPair(cell.dim, rowName, columnName) })).filter(({ at }) => at);
  section.hidden = known.length === 0;
  if (section.hidden) return;
  const measure = (cell) => cell.rates.money.revenue;
  const rows = ranked(known.map(({ at, cell }) => [at[0], measure(cell)]));
  const columns = ranked(known.map(({ at, cell }) => [at[1], measure(cell)]));
  section.hidden = rows.length === 0;
  const byPlace = new Map(known.map(({ at, cell }) => [JSON.stringify(at), cell]));
  const most = Math.max(1, ...known.map(({ cell }) => measure(cell)));
  const title = t('matrix', { rows: term(rowName), columns: term(columnName) });
  fill(section, el('h2', {}, title), el('div', { class: 'card wide', tabindex: '0', role: 'region', 'aria-label': title }, el('table', { class: 'numbers heat' },
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, term(rowName)), columns.map((each) => el('th', { scope: 'col' }, name(term(each, columnName)))))),
    el('tbody', {}, rows.map((row) => el('tr', {}, el('th', { scope: 'row' }, name(term(row, rowName))), columns.map((column) => {
      const cell = byPlace.get(JSON.stringify([row, column]));
      if (!cell) return el('td', { class: 'none' }, '–');
      return el('td', { style: { '--heat': measure(cell) / most } }, f.money(measure(cell), funnel), el('span', { class: 'small' }, t('n-orders', { n: f.count(cell.rates.money.orders) })));
    })))))));
}

/** [first value, second value] of `channel=google|manager=ann`; a value may hold a bar itself. */
function splitPair(dim, first, second) {
  const at = dim.lastIndexOf(`|${second}=`);
  if (at < 0 || !dim.startsWith(`${first}=`)) return null;
  return [dim.slice(first.length + 1, at), dim.slice(at + second.length + 2)];
}

/** Names by their largest amount, at most as many as are shown. */
function ranked(pairs) {
  const largest = new Map();
  for (const [each, amount] of pairs) largest.set(each, Math.max(largest.get(each) ?? 0, amount));
  return [...largest].filter(([, amount]) => amount > 0).sort(([, a], [, b]) => b - a).slice(0, SHOWN).map(([each]) => each);
}
