// The page: what is asked for stands in the address, one stream keeps the numbers, each section shows its own.

import { ApiError, address, get, setKey, watch } from './api.js';
import { byId, el, fill, name, write } from './dom.js';
import * as f from './format.js';
import { showLeaving } from './leaving.js';
import { LANGUAGES, current, keep, learn, load, preferred, stored, t, term } from './messages.js';
import { Overview } from './overview.js';
import { showMatrix, showView } from './tables.js';

const VIEWS = ['all', 'owner', 'marketing', 'sales'];
const PERIODS = ['today', '7d', '30d', 'all'];
const THEMES = ['auto', 'light', 'dark'];
const DAYS = { today: 1, '7d': 7, '30d': 30 };
const STALE_MS = 5000;
const AGAIN_MS = 5000;

const state = { funnels: [], funnel: null, view: 'all', period: '7d', answers: {}, pulse: null, pulseAt: 0, speed: null };
let parts = {};
let ending = new AbortController();
const more = import('./more.js');
const trend = import('./trend.js');

await load(preferred());
setTheme(stored('theme') ?? 'auto');
showControls();
start();
setInterval(showPulse, 250);
addEventListener('hashchange', start);

async function start() {
  try {
    state.funnels = await get('/v1/funnels');
  } catch (error) {
    return failed(error);
  }
  readAddress();
  showControls();
  await open();
}

function failed(error) {
  if (error instanceof ApiError && error.status === 401) return askForKey();
  notice(t('notice.away'));
  setTimeout(start, AGAIN_MS);
}

// -- what is asked for ------------------------------------------------------------------------------------------------

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  state.funnel = state.funnels.find((each) => each.name === asked.get('funnel')) ?? state.funnels[0];
  state.view = VIEWS.includes(asked.get('view')) ? asked.get('view') : 'all';
  state.period = PERIODS.includes(asked.get('period')) ? asked.get('period') : '7d';
}

function choose(changed) {
  Object.assign(state, changed);
  const { funnel, view, period } = state;
  history.replaceState(null, '', `#${new URLSearchParams({ funnel: funnel.name, view, period })}`);
  showControls();
  open();
}

/** since and until of the period, in days of the funnel's time zone; nothing for all time. */
function span() {
  if (state.period === 'all') return {};
  const now = state.pulse?.now_ms ?? Date.now();
  const { timezone } = state.funnel;
  return { since: f.isoDay(now, timezone, 1 - DAYS[state.period]), until: f.isoDay(now, timezone, 1) };
}

/** Whole days: one that is not over would look like a fall. Of today rates alone are shown beside the day a week ago. */
function comparedSpan() {
  if (state.period === 'today') return { ...span(), compare: 'last-week' };
  return { since: f.isoDay(state.pulse?.now_ms ?? Date.now(), state.funnel.timezone, -DAYS[state.period]), compare: 'previous' };
}

function questions() {
  const { funnel, view, period } = state;
  const asked = { funnel: funnel.name };
  const pair = funnel.pairs[0];
  const role = view === 'all' ? 'marketing' : view;
  return {
    summary: address('/v1/summaries', { ...asked, ...span(), dim: '' }),
    comparison: period === 'all' ? null : address('/v1/comparisons', { ...asked, ...comparedSpan(), dim: '' }),
    now: parts.trend ? address('/v1/reports', { ...asked, ...parts.trend.questions(Date.now()).now }) : null,
    view: address('/v1/views', { ...asked, view: role, ...(period === 'all' ? { since: '365d', until: f.isoDay(Date.now(), funnel.timezone, 1) } : span()) }),
    matrix: pair && view !== 'owner' ? address('/v1/summaries', { ...asked, ...span(), dim: pair }) : null,
    targets: view === 'all' || view === 'owner' || view === 'sales' ? address('/v1/targets', asked) : null,
    alerts: address('/v1/alerts', asked),
    names: address('/v1/names', asked),
  };
}

// -- numbers ----------------------------------------------------------------------------------------------------------

async function open() {
  ending.abort();
  ending = new AbortController();
  state.answers = {};
  state.speed = null;
  const { funnel, view } = state;
  fill(byId('overview'), el('p', { class: 'empty' }, t('loading')));
  for (const id of ['alerts', 'leaving', 'trend', 'table', 'matrix', 'targets', 'what-if', 'journey']) byId(id).hidden = true;
  parts = { funnel };
  document.title = `${term(funnel.name)} · funnelcast`;
  document.body.dataset.view = view;
  listen();
  const signal = ending.signal;
  const [{ Trend }, { WhatIf, JourneySearch }] = await Promise.all([trend, more]);
  if (signal.aborted) return;
  parts.trend = new Trend(byId('trend'), funnel, listen);
  if (view === 'all' || view === 'owner') parts.whatIf = new WhatIf(byId('what-if'), funnel);
  if (view === 'all' || view === 'sales') parts.journey = new JourneySearch(byId('journey'), state.funnels);
  listen();
}

let listening = new AbortController();

/** One stream of all that the page shows. */
function listen() {
  listening.abort();
  listening = new AbortController();
  const signal = AbortSignal.any([ending.signal, listening.signal]);
  const asked = Object.entries(questions()).filter(([, url]) => url);
  weekBefore(signal);
  watch(asked.map(([, url]) => url), {
    answer: (number, status, answer) => { received(asked[number][0], status, answer); },
    pulse: (pulse) => { beat(pulse); },
    error: (error) => { notice(t(error instanceof ApiError && error.status ? 'notice.refused' : 'notice.away', { message: error.message })); },
    key: askForKey,
  }, signal);
}

async function weekBefore(signal) {
  delete state.answers.now; // of another grain
  const before = parts.trend?.questions(state.pulse?.now_ms ?? Date.now()).before;
  state.answers.before = before ? await get(address('/v1/reports', { funnel: state.funnel.name, ...before }), signal).catch(() => null) : null;
  if (state.answers.now && !signal.aborted) show.now(state.answers.now);
}

function received(kind, status, answer) {
  if (status === 503 && kind === 'summary') return notice(t('notice.store', { time: f.clock(state.pulse?.now_ms ?? Date.now(), state.funnel.timezone) }));
  if (status !== 200) {
    if (kind === 'summary') notice(answer.message);
    return;
  }
  if (kind === 'summary') notice('');
  state.answers[kind] = answer;
  show[kind]?.(answer);
}

const show = {
  summary(answer) {
    const cell = answer.cells.find((each) => each.dim === '');
    if (!cell || !Object.keys(cell.counters).length) return waiting();
    parts.overview ??= new Overview(byId('overview'), state.funnel);
    parts.overview.update(state.funnel, cell, comparison(), state.view);
    showLeaving(byId('leaving'), state.funnel, cell);
    parts.whatIf?.ask(span());
  },
  comparison() {
    if (state.answers.summary) show.summary(state.answers.summary);
  },
  now(answer) {
    parts.trend?.update(answer, state.answers.before);
  },
  view(answer) {
    if (answer.table.rows.length > 1) showView(byId('table'), state.funnel, answer);
  },
  matrix(answer) {
    showMatrix(byId('matrix'), state.funnel, state.funnel.pairs[0], answer.cells);
  },
  targets: async (answer) => (await more).showTargets(byId('targets'), state.funnel, answer),
  alerts: async (answer) => (await more).showAlerts(byId('alerts'), state.funnel, answer),
  names(answer) {
    learn(answer.names);
    for (const kind of ['summary', 'view', 'matrix', 'alerts']) if (state.answers[kind]) show[kind](state.answers[kind]);
  },
};

function comparison() {
  const { comparison: document } = state.answers;
  return document ? { ...document, isToday: state.period === 'today' } : null;
}

/** Nothing has come yet, or not in this period. */
function waiting() {
  parts.overview = null;
  const isNew = !state.pulse?.events[state.funnel.name];
  fill(byId('overview'), el('div', { class: 'empty' },
    el('span', { class: 'radar', 'aria-hidden': 'true' }),
    el('h2', {}, t(isNew ? 'waiting' : 'waiting.period')),
    el('p', {}, t(isNew ? 'waiting.text' : 'waiting.period.text')),
    isNew ? el('p', {}, el('code', {}, `funnelcast tail`), ' ', t('waiting.tail')) : null,
    el('ol', { class: 'stages' }, state.funnel.stages.map((stage) => el('li', {}, name(term(stage)))))));
}

// -- how fresh it is --------------------------------------------------------------------------------------------------

function beat(pulse) {
  const seconds = (pulse.now_ms - (state.pulse?.now_ms ?? pulse.now_ms)) / 1000;
  const events = (each) => each?.events[state.funnel.name] ?? 0;
  if (state.pulse && seconds > 0) {
    const speed = (events(pulse) - events(state.pulse)) / seconds;
    state.speed = state.speed === null ? speed : 0.7 * state.speed + 0.3 * speed;
  }
  state.pulse = pulse;
  state.pulseAt = performance.now();
}

function showPulse() {
  const { pulse, funnel } = state;
  if (!pulse || !funnel) return;
  const silent = performance.now() - state.pulseAt;
  const isLive = silent < STALE_MS;
  byId('pulse').className = `pulse ${isLive ? (pulse.received_ms ? 'live' : 'idle') : 'stale'}`;
  const age = pulse.received_ms === null ? null : Math.max(0, (pulse.now_ms - pulse.received_ms + (isLive ? 0 : silent)) / 1000);
  const texts = [
    isLive ? t('pulse.live') : t('pulse.silent', { span: f.span(Math.round(silent / 1000)) }),
    age === null ? t('pulse.none') : t('pulse.newest', { span: f.span(age) }),
    pulse.watermark_ms === null ? '' : t('pulse.until', { time: f.clock(pulse.watermark_ms, funnel.timezone) }),
    t('pulse.events', { n: f.count(pulse.events[funnel.name] ?? 0) }),
    state.speed >= 0.5 && isLive ? t('pulse.speed', { n: f.count(state.speed) }) : '',
  ];
  write(byId('pulse-text'), texts.filter(Boolean).join(' · '));
}

function notice(text) {
  const element = byId('notice');
  element.hidden = !text;
  write(element, text);
}

// -- controls ---------------------------------------------------------------------------------------------------------

function showControls() {
  options(byId('language'), Object.entries(LANGUAGES), current(), async (wanted) => {
    await load(wanted);
    showControls();
    if (state.funnel) open();
  });
  options(byId('theme'), THEMES.map((each) => [each, t(`theme.${each}`)]), stored('theme') ?? 'auto', (theme) => {
    keep('theme', theme);
    setTheme(theme);
    if (state.funnel) open();
  });
  options(byId('funnel'), state.funnels.map((each) => [each.name, term(each.name)]), state.funnel?.name, (wanted) => {
    choose({ funnel: state.funnels.find((each) => each.name === wanted) });
  });
  choices(byId('view'), VIEWS, (each) => t(`view.${each}`), state.view, (view) => choose({ view }));
  choices(byId('period'), PERIODS, (each) => t(`period.${each}`), state.period, (period) => choose({ period }));
}

function options(select, pairs, chosen, changed) {
  fill(select, pairs.map(([value, text]) => el('option', { value, selected: value === chosen }, text)));
  select.onchange = () => changed(select.value);
}

/** Radio buttons that look like one control. */
function choices(fieldset, values, text, chosen, changed) {
  const focused = fieldset.contains(document.activeElement) ? document.activeElement.value : null;
  const boxes = values.map((value) => el('label', {}, el('input', { type: 'radio', name: fieldset.id, value, checked: value === chosen, onchange: () => changed(value) }), el('span', {}, text(value))));
  fill(fieldset, fieldset.querySelector('legend'), boxes);
  if (focused) fieldset.querySelector(`[value="${focused}"]`)?.focus();
}

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function askForKey() {
  const dialog = byId('key-dialog');
  if (dialog.open) return;
  dialog.onclose = () => {
    setKey(byId('key').value);
    byId('key').value = '';
    start();
  };
  dialog.showModal();
}
