// Why people leave: every reason of every stage, and those who simply did not go on, the most frequent first.

import { el, fill, name } from './dom.js';
import * as f from './format.js';
import { parts, t, term } from './messages.js';

const MOST = 10;

export function showLeaving(section, funnel, cell) {
  const rows = funnel.stages.flatMap((stage) => {
    const counts = cell.counters[stage] ?? {};
    const lost = Object.entries(counts['lost.cohort'] ?? {}).map(([reason, n]) => ({ stage, reason, n }));
    return counts['abandoned.cohort'] ? [...lost, { stage, reason: null, n: counts['abandoned.cohort'] }] : lost;
  }).sort((a, b) => b.n - a.n).slice(0, MOST);
  section.hidden = rows.length === 0;
  const most = rows[0]?.n ?? 1;
  fill(section, el('h2', {}, t('leaving')), el('ol', { class: 'card reasons' }, rows.map(({ stage, reason, n }) =>
    el('li', {},
      el('span', { class: 'what' }, el('span', {}, reason === null ? t('no-next') : name(term(reason, 'reason'))), el('span', { class: 'small' }, parts('at', { stage: name(term(stage)) }))),
      el('span', { class: 'track', 'aria-hidden': 'true' }, el('span', { class: reason === null ? 'bar abandoned' : 'bar lost', style: { '--share': n / most } })),
      el('span', { class: 'number' }, f.count(n))))));
}
