// What a page may call, and consent. An event waits here until it may be stored and sent.

import { add, drop, flush, start } from './queue.js';
import { pageAt, touches } from './page.js';
import { D, config, cookie, keep, keptNames, now, on, recall, uuid } from './state.js';
import { watch } from './watch.js';

let choice; // undefined before init
let isBlocked;
let isStarted;
let anonymous;
let held = [];
let moment = [];

const isOpen = () => choice === 'granted' && !D.prerendering;

const visitor = () => {
  if (!anonymous) {
    anonymous = (D.cookie.match(/funnelcast_id=([\w-]+)/) || [])[1] || recall('id') || uuid();
    keep('id', anonymous);
    cookie(anonymous);
  }
  return anonymous;
};

const release = (event) => {
  keep('user', (event.user_id ||= recall('user')));
  event.anonymous_id = visitor();
  Object.assign(event.context, touches(event.context.page));
  add(event);
};

const put = (name, properties, at = moment, user_id) => {
  const event = {
    id: uuid(),
    name,
    occurred_at_ms: at[0] || now(),
    user_id,
    properties: { ...properties },
    context: { page: pageAt(at) },
  };
  isOpen() ? release(event) : choice !== 'denied' && held.push(event);
};

const open = () => {
  if (isOpen()) {
    isStarted || start();
    isStarted = 1;
    held.splice(0).forEach(release);
  }
};

const clear = (names) => {
  names.forEach((name) => keep(name));
  cookie('');
  anonymous = 0;
};

export { flush };
export const track = (name, properties) => put(name, properties);
export const page = (properties) => put('page_view', properties);
export const identify = (userId, traits) => put('identify', traits, moment, userId && '' + userId);
export const reset = () => clear(['user', 'id', 'first', 'last']);

export const consent = (state) => {
  choice = isBlocked ? 'denied' : state;
  if (choice === 'denied') {
    held = [];
    drop();
    clear(keptNames());
  }
  open();
};

export const init = (options) => {
  if (config.key) return;
  Object.assign(config, options);
  isBlocked =
    (navigator.webdriver && !config.allowBots) ||
    (navigator.globalPrivacyControl && !config.ignoreGpc) ||
    (navigator.doNotTrack == 1 && config.respectDnt);
  isBlocked || watch(put);
  on(D, 'prerenderingchange', open);
  consent(config.consent || 'granted');
};

// Calls that the loader's stub has kept in `q`: [name, arguments, time, address, title, referrer].
export const replay = (api) => {
  for (const [name, values, ...at] of api.q || []) {
    moment = at;
    api[name](...values);
  }
  moment = [];
};
