// The funnel: a sentence, a few large numbers, and a row for each stage. Numbers of one summary, as the API gives them.

import { el, fill, name, write } from './dom.js';
import * as f from './format.js';
import { parts, t, term } from './messages.js';

const ALL_KNOWN = 0.9995; // what would be written as 100 % needs no word

/** The section; `update` shows a newer summary in place, so that bars move and a reader's place is kept. */
export class Overview {
  constructor(section) {
    this.story = el('p', { class: 'story' });
    this.tiles = el('ul', { class: 'tiles' });
    this.compared = el('p', { class: 'hint compared' });
    this.rows = el('tbody', { role: 'rowgroup' });
    this.known = new Map();
    const heads = ['stage', 'entered', 'went-on', 'left', 'open'];
    const table = el('table', { class: 'funnel', role: 'table' },
      el('caption', { class: 'hidden' }, t('funnel.caption')),
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' },
        heads.map((each) => el('th', { scope: 'col', role: 'columnheader', class: each, title: t(`about.${each}`) }, t(`head.${each}`))))),
      this.rows);
    fill(section, el('h2', {}, t('overview')), this.story, this.tiles, this.compared, el('div', { class: 'card' }, table,
      el('p', { class: 'legend' },
        el('span', { class: 'key on' }), t('head.went-on'), ' ',
        el('span', { class: 'key lost' }), t('lost'), ' ',
        el('span', { class: 'key abandoned' }), t('abandoned'), ' ',
        el('span', { class: 'key open' }), t('head.open'), el('span', { class: 'hint' }, t('legend')))));
  }

  /** `cell`: the whole of the summary; `comparison`: the document, or null. */
  update(funnel, cell, comparison, view) {
    this.tell(funnel, cell);
    fill(this.tiles, tilesOf(funnel, cell, comparison, view));
    const days = ({ first, last }) => (first === last ? f.day(first) : `${f.day(first)} – ${f.day(last)}`);
    this.compared.hidden = !comparison;
    if (comparison) write(this.compared, t(comparison.isToday ? 'compared.today' : 'compared', { after: days(comparison.after), before: days(comparison.before) }));
    const most = Math.max(1, ...funnel.stages.map((stage) => entriesOf(cell, stage)));
    for (const [number, stage] of funnel.stages.entries()) {
      if (!this.known.has(stage)) {
        this.known.set(stage, new StageRow(stage, number));
        this.rows.append(this.known.get(stage).row);
      }
      this.known.get(stage).update(funnel, cell, most);
    }
  }

  tell(funnel, cell) {
    const { overall, bottleneck, leaving } = cell.rates;
    const first = funnel.stages[0];
    const last = funnel.overall_stage;
    const sentences = [parts('story.began', { n: strong(f.count(entriesOf(cell, first))), stage: strong(name(term(first))) })];
    if (overall) sentences.push(parts('story.overall', { share: strong(f.percent(overall.rate)), stage: strong(name(term(last))) }));
    if (bottleneck) sentences.push(parts('story.bottleneck', { share: strong(f.percent(leaving[bottleneck].rate)), stage: strong(name(term(bottleneck))) }));
    fill(this.story, sentences.flatMap((each) => [...each, ' ']));
  }
}

class StageRow {
  constructor(stage, number) {
    this.stage = stage;
    const cell = (kind, ...children) => el('td', { role: 'cell', class: kind, 'data-head': t(`head.${kind}`) }, children);
    this.badge = el('span', { class: 'badge', hidden: true }, t('bottleneck'));
    this.bar = el('div', { class: 'bar' }, ['on', 'lost', 'abandoned', 'open'].map((each) => el('span', { class: each })));
    this.entries = el('span', { class: 'number' });
    this.onward = el('span', { class: 'number' });
    this.interval = el('span', { class: 'small' });
    this.known = el('span', { class: 'small' });
    this.left = el('span', { class: 'number' });
    this.why = el('span', { class: 'small' });
    this.open = el('span', { class: 'number' });
    this.row = el('tr', { role: 'row' },
      el('th', { scope: 'row', role: 'rowheader', class: 'stage', title: stage }, el('span', { class: 'rank' }, f.count(number + 1)), name(term(stage)), this.badge),
      cell('entered', el('div', { class: 'line' }, this.entries, el('div', { class: 'track', 'aria-hidden': 'true' }, this.bar))),
      cell('went-on', this.onward, this.interval, this.known),
      cell('left', this.left, this.why),
      cell('open', this.open));
  }

  update(funnel, { counters, rates }, most) {
    const counts = counters[this.stage] ?? {};
    const entries = counts.entries ?? 0;
    const conversion = rates.cohort_conversion[this.stage];
    const isLast = !(this.stage in rates.cohort_conversion);
    this.bar.style.setProperty('--share', entries / most);
    const shares = { on: isLast ? entries : counts['advanced.cohort'] ?? 0, lost: rates.loss[this.stage]?.numerator ?? 0, abandoned: counts['abandoned.cohort'] ?? 0, open: isLast ? 0 : counts.open ?? 0 };
    for (const [kind, amount] of Object.entries(shares)) this.bar.querySelector(`.${kind}`).style.setProperty('flex-grow', entries ? amount / entries : 0);
    write(this.entries, f.count(entries));
    write(this.onward, conversion ? f.percent(conversion.rate) : isLast ? '' : '–');
    write(this.interval, conversion?.interval ? f.interval(conversion.interval) : '');
    write(this.known, conversion && conversion.maturity < ALL_KNOWN ? t('so-far', { share: f.percent(conversion.maturity) }) : '');
    const leaving = rates.leaving[this.stage];
    write(this.left, leaving?.numerator ? f.percent(leaving.rate) : isLast ? '' : leaving ? f.percent(0) : '–');
    fill(this.why, leaving?.numerator ? reasonsOf(counts) : []);
    write(this.open, isLast ? '' : f.count(counts.open ?? 0));
    const isBottleneck = rates.bottleneck === this.stage;
    this.badge.hidden = !isBottleneck;
    this.row.classList.toggle('bottleneck', isBottleneck);
  }
}

export const entriesOf = (cell, stage) => cell.counters[stage]?.entries ?? 0;

/** Abandoned and the most frequent reasons. */
function reasonsOf(counts) {
  const lost = Object.entries(counts['lost.cohort'] ?? {}).sort(([, a], [, b]) => b - a).slice(0, 2);
  const all = [...lost, ...(counts['abandoned.cohort'] ? [[null, counts['abandoned.cohort']]] : [])].sort(([, a], [, b]) => b - a);
  return all.flatMap(([reason, n], at) => [at ? ' · ' : '', reason === null ? t('abandoned') : name(term(reason, 'reason')), ` ${f.count(n)}`]);
}

const strong = (...children) => el('strong', {}, children);

function tilesOf(funnel, cell, comparison, view) {
  const { money, overall } = cell.rates;
  const first = funnel.stages[0];
  const wholeDays = comparison && !comparison.isToday;
  const tiles = {
    entries: [t('tile.entries', { stage: term(first) }), f.short(entriesOf(cell, first)), f.count(entriesOf(cell, first)), wholeDays && grown(comparison.entries[first])],
    overall: [t('tile.overall', { stage: term(funnel.overall_stage) }), overall ? f.percent(overall.rate) : '–', overall?.interval ? f.interval(overall.interval) : '', comparison && moved(comparison.overall)],
    orders: [t('tile.orders'), f.short(money.orders), f.count(money.orders), wholeDays && grown(comparison.orders)],
    revenue: [t('tile.revenue'), f.money(money.revenue, funnel), '', wholeDays && grown(comparison.revenue)],
    aov: [t('tile.aov'), money.aov === null ? '–' : f.money(money.aov, funnel), t('about.aov'), null],
    spend: [t('tile.spend'), money.spend === null ? '–' : f.money(money.spend, funnel), money.roas === null ? t('no-spend') : t('tile.roas', { n: f.factor(money.roas) }), null],
    forecast: [t('tile.forecast'), money.forecast === null ? '–' : f.money(money.forecast, funnel), t('about.forecast'), null],
  };
  const shown = { all: ['entries', 'overall', 'orders', 'revenue', 'aov'], owner: ['revenue', 'orders', 'aov', 'spend', 'overall'], marketing: ['entries', 'overall', 'orders', 'spend', 'revenue'], sales: ['orders', 'revenue', 'aov', 'forecast', 'overall'] }[view];
  return shown.map((each) => tile(each, ...tiles[each]));
}

function tile(kind, title, value, note, delta) {
  return el('li', { class: `tile ${kind}` }, el('span', { class: 'title' }, title), el('span', { class: 'value' }, value),
    note && note !== value ? el('span', { class: 'small' }, note) : null, delta || null);
}

/** How much more than before. */
function grown({ change }) {
  return change === null || change === undefined ? null : delta(change, f.change(change));
}

/** By how many points a rate has moved; without a mark where it may be chance. */
function moved({ difference, is_significant: isSignificant }) {
  return difference === null ? null : delta(isSignificant ? difference : 0, f.points(difference), isSignificant ? '' : t('chance'));
}

function delta(size, text, note = '') {
  const direction = size > 0 ? 'up' : size < 0 ? 'down' : 'flat';
  return el('span', { class: `delta ${direction}` }, { up: '▲ ', down: '▼ ', flat: '' }[direction], text, ' ', t('than-before'), note ? ` (${note})` : '');
}
