// What a page may call, and consent. An event waits here until it may be stored and sent.

import { add, drop, flush, start } from './queue.js';
import { clean, touches } from './page.js';
import { D, config, cookie, keep, keptNames, log, now, on, recall, storeNothing, uuid } from './state.js';
import { watch } from './watch.js';

let choice; // undefined before init
let isBlocked;
let anonymous;
let held = [];
let moment = [];

const visitor = () => {
  if (!anonymous) {
    anonymous = /funnelcast_id=([\w-]+)/.exec(D.cookie)?.[1] || recall('id') || uuid();
    keep('id', anonymous);
    cookie(anonymous);
  }
  return anonymous;
};

// The third is [time, address, title, referrer] of a call that is told later than it was made.
const put = (
  name,
  properties,
  [time = now(), address = location.href, title = D.title, referrer = D.referrer] = moment,
  user_id,
) => {
  properties = { traffic: /funnelcast_(staff)=./.exec(D.cookie)?.[1], ...properties };
  if (config.isOpen) {
    keep('user', (user_id ||= recall('user')));
    const tags = {};
    const page = { url: clean(address, tags), title, referrer: clean(referrer) };
    add({
      id: uuid(),
      name,
      occurred_at_ms: time,
      anonymous_id: config.cookieless ? undefined : visitor(), // else the collector makes one for the day
      user_id,
      properties,
      context: { page, ...touches(tags, page) },
    });
  } else if (choice !== 'denied') held.push([name, properties, [time, address, title, referrer], user_id]);
};

const open = () => {
  if ((config.isOpen = choice === 'granted' && !D.prerendering)) {
    flush(); // what earlier pages have left
    held.splice(0).forEach((call) => put(...call));
  }
};

const clear = (names) => {
  names.map((name) => keep(name));
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
    (navigator.globalPrivacyControl && !config.ignoreGpc);
  config.cookieless && storeNothing();
  isBlocked ? log('blocked: a driven browser, or Global Privacy Control') : watch(put);
  start();
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
