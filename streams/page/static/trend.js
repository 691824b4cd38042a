// Entries of a stage over time, beside those of a week before. Drawn by ECharts on a canvas, and as a table for those
// who read it otherwise.

import { el, fill } from './dom.js';
import * as f from './format.js';
import { t, term } from './messages.js';

const GRAINS = {
  minute: { since: '1h', length: 16 },
  hour: { since: '48h', length: 13 },
  day: { since: '30d', length: 10 },
};
const STEP_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const WEEK_MS = 7 * STEP_MS.day;
let echarts = null;

export class Trend {
  /** `changed` is called when another stage or grain is chosen. */
  constructor(section, funnel, changed) {
    this.funnel = funnel;
    this.section = section;
    this.stage = funnel.stages[0];
    this.grain = 'minute';
    const choose = (member, values, text) => {
      const select = el('select', { onchange: () => { this[member] = select.value; changed(); } },
        values.map((each) => el('option', { value: each, selected: each === this[member] }, text(each))));
      return select;
    };
    this.canvas = el('div', { class: 'chart', role: 'img' });
    this.numbers = el('div', { class: 'wide' });
    fill(section, el('div', { class: 'heading' }, el('h2', {}, t('trend')),
      el('label', { class: 'field' }, el('span', {}, t('head.stage')), choose('stage', funnel.stages, term)),
      el('label', { class: 'field' }, el('span', {}, t('grain')), choose('grain', Object.keys(GRAINS), (each) => t(`grain.${each}`)))),
    el('div', { class: 'card' }, this.canvas, el('details', {}, el('summary', {}, t('as-table')), this.numbers)));
    new ResizeObserver(() => this.chart?.resize()).observe(this.canvas);
  }

  /** What to ask for: now, and the same time a week before. */
  questions(nowMs) {
    const { since } = GRAINS[this.grain];
    const length = { '1h': STEP_MS.hour, '48h': 2 * STEP_MS.day, '30d': 30 * STEP_MS.day }[since];
    const now = { grain: this.grain, since, dim: '' };
    const before = this.grain === 'day' ? null : { ...now, since: String(nowMs - WEEK_MS - length), until: String(nowMs - WEEK_MS) };
    return { now, before };
  }

  async update(nowDocument, beforeDocument) {
    const now = bucketsOf(nowDocument, this.grain, this.stage);
    const before = beforeDocument ? bucketsOf(beforeDocument, this.grain, this.stage) : new Map();
    this.section.hidden = now.size === 0;
    if (now.size === 0) return;
    const labels = finished(between([...now.keys()], this.grain), this.grain, nowDocument.watermark_ms);
    const series = labels.map((label) => now.get(label) ?? 0);
    const week = before.size ? labels.map((label) => before.get(weekBefore(label, this.grain)) ?? 0) : null;
    const texts = labels.map((label) => f.bucket(label, this.grain, this.funnel.timezone));
    this.canvas.setAttribute('aria-label', t('trend.label', { stage: term(this.stage), n: f.count(series.at(-1)), most: f.count(Math.max(...series)) }));
    fill(this.numbers, el('table', { class: 'numbers' }, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('time')), el('th', { scope: 'col' }, term(this.stage)), week ? el('th', { scope: 'col' }, t('week-before')) : null)),
      el('tbody', {}, texts.map((text, at) => el('tr', {}, el('th', { scope: 'row' }, text), el('td', {}, f.count(series[at])), week ? el('td', {}, f.count(week[at])) : null)))));
    await this.draw(texts, series, week);
  }

  async draw(texts, series, week) {
    echarts ??= await loadCharts();
    if (!echarts) return; // not loaded this time: the table has the numbers
    const style = getComputedStyle(document.documentElement);
    const colour = (variable) => style.getPropertyValue(variable).trim();
    this.chart ??= echarts.init(this.canvas, null, { renderer: 'canvas' });
    const line = (key, values, options) => ({ name: t(key), type: 'line', data: values, showSymbol: values.length < 2, smooth: 0.15, animation: false, ...options });
    this.chart.setOption({
      animation: false,
      textStyle: { fontFamily: 'inherit' },
      grid: { left: 8, right: 12, top: 30, bottom: 4, containLabel: true },
      tooltip: { trigger: 'axis', renderMode: 'richText', backgroundColor: colour('--card'), borderColor: colour('--line'), textStyle: { color: colour('--text') }, valueFormatter: (n) => f.count(n) },
      xAxis: { type: 'category', data: texts, boundaryGap: false, axisLine: { lineStyle: { color: colour('--line') } }, axisTick: { show: false }, axisLabel: { color: colour('--muted'), hideOverlap: true } },
      yAxis: { type: 'value', minInterval: 1, name: t('head.entered'), nameTextStyle: { color: colour('--muted'), align: 'left' }, axisLabel: { color: colour('--muted'), formatter: (n) => f.short(n) }, splitLine: { lineStyle: { color: colour('--line') } } },
      series: [
        ...(week ? [line('week-before', week, { lineStyle: { type: 'dashed', width: 1.5, color: colour('--muted') }, itemStyle: { color: colour('--muted') } })] : []),
        line('now', series, { lineStyle: { width: 2.5, color: colour('--accent') }, itemStyle: { color: colour('--accent') }, areaStyle: { color: colour('--accent'), opacity: 0.12 } }),
      ],
    }, { replaceMerge: ['series'] });
  }
}

async function loadCharts() {
  // The page allows no text to become markup. ECharts empties its own element that way, which is all that it may do.
  if (!globalThis.trustedTypes?.defaultPolicy) globalThis.trustedTypes?.createPolicy('default', { createHTML: (text) => (text === '' ? '' : null) });
  return import('/page/vendor/echarts.js').catch(() => null);
}

function bucketsOf(document, grain, stage) {
  const buckets = document.counters[grain] ?? {};
  return new Map(Object.entries(buckets).map(([label, cells]) => [label, cells['']?.[stage]?.entries ?? 0]).sort());
}

/** All labels from the first to the last: a bucket without events is not in the document. */
function between(labels, grain) {
  const [first, last] = [labels[0], labels.at(-1)].map((label) => time(label, grain));
  const all = [];
  for (let at = first; at <= last; at += STEP_MS[grain]) all.push(labelOf(at, grain));
  return all;
}

/** Without the newest bucket while it is not over: it would look like a fall. */
function finished(labels, grain, watermarkMs) {
  const isOver = time(labels.at(-1), grain) + STEP_MS[grain] <= watermarkMs;
  return isOver || labels.length < 3 ? labels : labels.slice(0, -1);
}

const weekBefore = (label, grain) => labelOf(time(label, grain) - WEEK_MS, grain);
const time = (label, grain) => Date.parse({ minute: label, hour: label.replace('Z', ':00Z'), day: `${label}T00:00Z` }[grain]);

function labelOf(ms, grain) {
  const text = new Date(ms).toISOString().slice(0, GRAINS[grain].length);
  return grain === 'day' ? text : `${text}Z`;
}
