// funnelcast.mjs: the same functions for pages that bundle their scripts. Nothing happens before `init`.

export { consent, flush, identify, init, page, reset, track } from './api.js';
