// What-if, targets, alerts and one person's journey: each asks the API, and shows what it answers.

import { ApiError, address, get } from './api.js';
import { el, fill, name, write } from './dom.js';
import * as f from './format.js';
import { t, term } from './messages.js';

const PAUSE_MS = 150;
const MOST_PERCENT = 100;

export class WhatIf {
  constructor(section, funnel) {
    Object.assign(this, { section, funnel, period: {}, isAsked: false });
    this.stage = el('select', { onchange: () => this.later() }, funnel.stages.slice(1).map((each) => el('option', { value: each }, term(each))));
    this.slider = el('input', { type: 'range', min: '0', max: String(MOST_PERCENT), value: '10', step: '1', oninput: () => this.later() });
    this.output = el('output', { class: 'value' });
    this.answer = el('p', { class: 'answer', 'aria-live': 'polite' });
    this.gains = el('div', { class: 'wide' });
    fill(section, el('h2', {}, t('what-if')), el('div', { class: 'card' },
      el('div', { class: 'slider' },
        el('label', { class: 'field' }, el('span', {}, t('what-if.stage')), this.stage),
        el('label', { class: 'field grow' }, el('span', {}, t('what-if.lift')), this.slider), this.output),
      this.answer, this.gains, el('p', { class: 'hint' }, t('what-if.hint'))));
  }

  /** Ask again: the counts have changed, or another period was chosen. */
  ask(period) {
    this.period = period;
    this.later();
  }

  later() {
    write(this.output, f.change(this.slider.value / 100));
    this.timer ??= setTimeout(() => { this.timer = null; this.now().catch(() => { this.section.hidden = true; }); }, PAUSE_MS);
  }

  async now() {
    const lift = `${this.stage.value}=+${this.slider.value}%`;
    const document = await get(address('/v1/what-if', { funnel: this.funnel.name, what_if: lift, dim: '', ...this.period }));
    const cell = document.cells[0];
    this.section.hidden = !cell;
    if (!cell) return;
    if (!this.isAsked && cell.pays_most) {
      this.isAsked = true; // begin with the stage that pays most
      if (this.stage.value !== cell.pays_most) {
        this.stage.value = cell.pays_most;
        return this.now();
      }
    }
    const { gain } = cell;
    fill(this.answer, el('strong', {}, t('more-orders', { n: f.count(Math.round(gain.orders)) })), ' · ', el('strong', {}, f.money(Math.round(gain.revenue), this.funnel, 'exceptZero')), ' ', t('what-if.revenue'));
    fill(this.gains, el('table', { class: 'numbers' },
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('what-if.each', { share: f.change(cell.lift_percent / 100) })), el('th', { scope: 'col' }, t('column.orders')), el('th', { scope: 'col' }, t('column.revenue')))),
      el('tbody', {}, cell.gains.map(({ stage, lift: { orders, revenue } }) => el('tr', { class: stage === cell.pays_most ? 'best' : null },
        el('th', { scope: 'row' }, name(term(stage)), stage === cell.pays_most ? el('span', { class: 'badge good' }, t('pays-most')) : null),
        el('td', {}, f.count(Math.round(orders))), el('td', {}, f.money(Math.round(revenue), this.funnel)))))));
  }
}

export function showTargets(section, funnel, { targets }) {
  section.hidden = targets.length === 0;
  fill(section, el('h2', {}, t('targets')), el('ul', { class: 'card targets' }, targets.map((target) => {
    const amount = (n) => (target.of === 'revenue' ? f.money(n, funnel) : f.count(n));
    return el('li', {},
      el('span', { class: 'what' }, el('span', {}, name(term(target.stage)), ` · ${t(`column.${target.of}`)} · ${target.period}`), target.team ? el('span', { class: 'small' }, name(target.team)) : null),
      el('span', { class: 'track', role: 'img', 'aria-label': t('target.label', { fact: amount(target.fact), goal: amount(target.goal) }) },
        el('span', { class: 'bar on', style: { '--share': target.goal ? Math.min(1, target.fact / target.goal) : 0 } }),
        el('span', { class: 'due', title: t('target.due'), style: { '--share': target.goal ? Math.min(1, target.plan_by_now / target.goal) : 0 } })),
      el('span', { class: 'number' }, `${amount(target.fact)} / ${amount(target.goal)}`),
      el('span', { class: `verdict ${target.verdict}` }, t(`verdict.${target.verdict}`), target.probability === null ? '' : ` ${f.percent(target.probability)}`));
  })));
}

export function showAlerts(section, funnel, { alerts, is_ready: isReady }) {
  const firing = alerts.filter((alert) => alert.severity !== 'none');
  section.hidden = firing.length === 0;
  if (!isReady || section.hidden) return;
  fill(section, el('h2', {}, t('alerts')), el('ul', { class: 'alerts' }, firing.map((alert) => el('li', { class: `card alert ${alert.severity}` },
    el('strong', {}, t(`alert.${alert.name}`)), ' ', alert.stage ? name(term(alert.stage)) : '', alert.dim ? [' · ', name(alert.dim.replace('=', ': '))] : '',
    el('p', {}, alertNumbers(alert, funnel), ' ',
      t('alert.since', { time: f.moment(Date.parse(alert.since), funnel.timezone) })),
    el('p', { class: 'small' }, t('alert.evidence', { n: f.count(alert.evidence) }), ' · ', t(`cause.${alert.cause}`))))));
}

/** Of a share so many of so many; of a volume the amount, as it is and as it usually is. */
function alertNumbers(alert, funnel) {
  if (alert.denominator > 0) {
    return t('alert.numbers', { numerator: f.count(alert.numerator), denominator: f.count(alert.denominator), expected: f.percent(alert.baseline) });
  }
  const amount = (n) => (alert.name === 'FunnelRevenueDrop' ? f.money(n, funnel) : f.count(n));
  return t('alert.amount', { numerator: amount(alert.numerator), expected: amount(alert.baseline) });
}

export class JourneySearch {
  constructor(section, funnels) {
    this.funnels = funnels;
    const input = el('input', { name: 'id', required: true, autocomplete: 'off', placeholder: t('journey.placeholder'), maxlength: '200' });
    this.result = el('div', { 'aria-live': 'polite' });
    fill(section, el('h2', {}, t('journey')), el('div', { class: 'card' },
      el('form', { class: 'search', onsubmit: (event) => { event.preventDefault(); this.find(input.value); } },
        el('label', { class: 'field grow' }, el('span', {}, t('journey.id')), input), el('button', {}, t('journey.find'))), this.result));
    section.hidden = false;
  }

  async find(id) {
    try {
      const person = await get(address('/v1/people', { id }));
      fill(this.result, person.ids.length ? el('p', { class: 'small' }, t('journey.ids'), ' ', person.ids.flatMap((each, at) => [at ? ', ' : '', name(each)])) : null,
        person.journeys.length ? person.journeys.map((each) => this.journey(each)) : el('p', {}, t('journey.none')));
    } catch (error) {
      fill(this.result, el('p', { class: 'error' }, error instanceof ApiError ? error.message : t('notice.away')));
    }
  }

  journey({ funnel, deal, entries }) {
    const known = this.funnels.find((each) => funnel.startsWith(each.name)) ?? { timezone: 'UTC' };
    return el('div', { class: 'journey' }, el('h3', {}, name(deal ? `${funnel} · ${deal}` : funnel)), el('ol', {}, entries.map((entry) => el('li', { class: entry.outcome },
      el('strong', {}, name(term(entry.stage))), el('time', { datetime: entry.at }, f.moment(entry.at_ms, known.timezone)),
      el('span', { class: 'outcome' }, t(`outcome.${entry.outcome}`), entry.reason ? [': ', name(term(entry.reason, 'reason'))] : ''), el('span', { class: 'small' }, plainWhy(entry.why))))));
  }
}

const plainWhy = (why) => name(why);
