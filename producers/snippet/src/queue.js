// Events on their way. Each one lies under a key of its own in localStorage until the collector has answered, so that
// tabs neither overwrite each other's events nor lose those of a tab that died. Knows nothing of what an event says.

import { D, W, config, isHidden, keep, keptNames, log, now, on, recall } from './state.js';

const BATCH_BYTES = 5e4; // keepalive requests of a page share 64 KiB
const KEPT_BYTES = 1e6;
const KEPT_EVENTS = 500;
const KEPT_MS = 6048e5; // 7 days

const own = new Map(); // key -> text of the events of this page that are not sent
let flying = []; // keys of the request under way
let isHealthy; // the last request of this page was answered well
let tries = 0;
let timer;

// Nobody sends before this time: a tab is sending, or the collector asked for a pause. An absurd time is no reason.
const pause = () => {
  const left = recall('pause') - now();
  return left > 0 && left < 36e5;
};

const forget = (keys) => keys.forEach((key) => keep(key, own.delete(key) && ''));

const later = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(flush, milliseconds);
};

// What is no JSON, or more than the collector takes, is nobody's fault on the page: it is left out.
export const add = (event) => {
  try {
    const text = JSON.stringify(event);
    if (text.length > 32768) return;
    const key = `e${event.occurred_at_ms}.${event.id}`; // sorts by time
    own.set(key, text);
    keep(key, text);
    own.size > 9 ? flush() : timer || later(isHealthy ? 3e3 : 500);
  } catch {}
};

export const drop = () => own.clear(); // the caller empties the store

const read = (key) => own.get(key) || recall(key);

// [keys, body] of the oldest events that fit into `room` bytes; what is too old or too much is forgotten.
// JSON writes half of a character, as of a text that was cut within an emoji, as an escape that no collector can read.
const batch = (keys, room) => {
  let kept = 0;
  keys = keys
    .sort()
    .reverse()
    .filter(
      (key, index) =>
        (read(key) &&
          index < KEPT_EVENTS &&
          (kept += read(key).length) < KEPT_BYTES &&
          now() - key.slice(1, 14) < KEPT_MS) ||
        forget([key]),
    )
    .reverse()
    .slice(0, recall('most'))
    .filter((key) => (room -= new Blob([read(key)]).size) > 0);
  return [
    keys,
    `{"writeKey":"${config.key}",${config.cookieless ? '"cookieless":true,' : ''}${config.debug ? '"debug":true,' : ''}"sent_at_ms":${now()},"events":[${keys.map(read)}]}`.replace(
      /\\ud[89a-f]..|\\./g,
      (escape) => (escape[2] ? '\ufffd' : escape),
    ),
  ];
};

const address = () => config.host.replace(/\/?$/, '/v1/browser');
const post = (body) => {
  log('sent', body);
  return fetch(address(), { method: 'POST', body, keepalive: true, credentials: 'omit' });
};

export const flush = () => {
  clearTimeout(timer);
  timer = 0;
  if (flying[0] || !config.isOpen) return; // its answer flushes again
  if (pause()) return later(1e3);
  const [keys, body] = batch(
    [...new Set([...own.keys(), ...keptNames().filter((name) => /^e\d/.test(name))])],
    BATCH_BYTES,
  );
  if (!keys[0]) return;
  flying = keys;
  keep('pause', now() + 15e3);
  post(body).then((answer) => {
    const { ok, status, headers } = answer;
    config.debug && answer.text().then((text) => log(status, text));
    if (!/^5|40[138]|429/.test(status)) {
      (keys[1] && !ok) || forget(keys); // taken, or refused alone
      keep('most', !ok && keys.length >> 1); // half of what was refused is sent next, until the bad event is alone
    }
    ok ? settled((tries = 0)) : failed(headers.get('retry-after'));
  }, failed);
};

const settled = (wait) => {
  isHealthy = !wait;
  flying = [];
  keep('pause', wait && now() + wait);
  later(wait);
};

const failed = (seconds) =>
  log('not taken, again later') ||
  settled(Math.max(+seconds || 0, Math.min(60, 2 ** tries++)) * (1e3 + Math.random() * 200));

// The page may die now, and no answer be seen. What was well so far is trusted; else the next page sends it again.
const leave = () => {
  if (flying[0] || !pause()) {
    const [keys, body] = batch(
      [...own.keys()].filter((key) => !flying.includes(key)),
      flying[0] ? 13e3 : BATCH_BYTES,
    );
    keys[0] &&
      ('keepalive' in Request.prototype ? post(body).catch(now) : navigator.sendBeacon(address(), body));
    flying = flying.concat(keys); // nothing more until the page is shown again
    keep('pause');
  }
  isHealthy && navigator.onLine && forget(flying);
};

export const start = () => {
  on(W, 'pagehide', leave);
  on(W, 'pageshow', ({ persisted }) => {
    if (persisted) flying = [];
    flush();
  });
  on(W, 'online', () => {
    keep('pause');
    flush();
  });
  on(D, 'visibilitychange', () => isHidden() && flush());
};
