// funnelcast.js: the script of a page. Takes its settings from the script tag and what the stub has kept.

import { consent, flush, identify, init, page, replay, reset, track } from './api.js';
import { D, W } from './state.js';

const known = (W.funnelcast ||= {});
if (!known.flush) {
  Object.assign(known, { consent, flush, identify, init, page, reset, track });
  const { src, dataset } = D.currentScript || {};
  if (dataset?.key) {
    const options = { host: new URL(src).origin };
    for (const name in dataset) options[name] = dataset[name] || true;
    init(options);
  }
  replay(known);
}
