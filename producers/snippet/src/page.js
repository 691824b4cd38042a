// What an event says of its page, and where the visitor came from. Reads addresses; sends and stores nothing itself.

import { config, keep, now, recall } from './state.js';

// Campaign tags and click ids: gclid, dclid, fbclid, yclid, ysclid, ttclid, twclid, msclkid, rb_clickid, ...
const TAGS = /^(utm_\w+|\w*cl(ick|k)?id|gclsrc|[gw]braid|li_fat_id|rdt_cid|igshid)$/;

// Without what may be private: other parameters, the fragment, a name and password.
export const clean = (address) => {
  try {
    const url = new URL(address);
    [...url.searchParams.keys()].forEach(
      (name) => TAGS.test(name) || (config.params || '').split(/[ ,]+/).includes(name) || url.searchParams.delete(name),
    );
    url.hash = config.hash ? url.hash.split('?')[0] : '';
    url.username = url.password = '';
    return url.href;
  } catch {
    return '';
  }
};

// First touch: how this browser came for the first time. Last touch: the last address with campaign tags.
export const touches = ({ url, referrer }) => {
  const tags = {};
  new URL(url).searchParams.forEach((value, name) => TAGS.test(name) && (tags[name] = value.slice(0, 200)));
  const text = JSON.stringify(tags);
  const first = recall('first') || JSON.stringify({ ...tags, url, referrer, at_ms: now() });
  const last = text[2] ? text : recall('last') || text;
  keep('first', first);
  keep('last', last);
  return { first_touch: JSON.parse(first), last_touch: JSON.parse(last) };
};
