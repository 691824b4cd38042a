// What an event says of its page, and where the visitor came from. Reads addresses; sends and stores nothing itself.

import { config, keep, now, recall } from './state.js';

// Campaign tags and click ids: gclid, dclid, fbclid, yclid, ysclid, ttclid, twclid, msclkid, rb_clickid, ...
const TAGS = /^(utm_\w+|\w*cl(ick|k)?id|gclsrc|[gw]braid|li_fat_id|rdt_cid|igshid)$/;

// Without what may be private: other parameters, the fragment, a name and password. What campaign tags and click ids it
// has is added to `tags`; where they stand in a fragment (`#/cart?utm_source=mail`, `#utm_source=mail`), they move.
export const clean = (address, tags = {}) => {
  try {
    const url = new URL(address);
    const [route, query = /=/.test(route) ? route.slice(1) : ''] = url.hash.split('?');
    const kept = new URLSearchParams();
    new URLSearchParams(url.search + '&' + query).forEach((value, name) => {
      name = name.replace(/.*;/, ''); // `amp;utm_source` of a link that was escaped twice
      const tag = name.toLowerCase();
      if (TAGS.test(tag)) {
        kept.append(tag, value);
        tags[tag] ||= [...value].slice(0, 200).join(''); // whole characters
      } else if (config.params?.split(/[ ,]+/).includes(name)) kept.append(name, value);
    });
    url.search = kept;
    url.hash = config.hash ? route : '';
    url.username = url.password = '';
    return url.href;
  } catch {
    return '';
  }
};

// First touch: how this browser came for the first time. Last touch: the last address with campaign tags.
export const touches = (tags, { url, referrer }) => {
  const text = JSON.stringify(tags);
  const first = recall('first') || JSON.stringify({ ...tags, url, referrer, at_ms: now() });
  const last = text[2] ? text : recall('last') || text;
  keep('first', first);
  keep('last', last);
  return { first_touch: JSON.parse(first), last_touch: JSON.parse(last) };
};
