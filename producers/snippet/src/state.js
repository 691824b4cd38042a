// What the other modules share: the settings, small names for long ones, and everything that is stored in the browser.
// Nothing is stored before consent: `keep` sees to it, and `cookie` is called for events that may be sent.

export const config = {};
export const D = document;
export const W = window;
export const now = Date.now;
export const log = (...said) => config.debug && console.log('funnelcast', ...said);
export const isHidden = () => D.visibilityState === 'hidden';

export const on = (target, types, listener) =>
  types.split(' ').map((type) => target.addEventListener(type, listener, true));

// crypto.randomUUID is missing on pages without TLS; an object URL ends in a random UUID everywhere
export const uuid = () => {
  const url = URL.createObjectURL(new Blob());
  URL.revokeObjectURL(url);
  return url.slice(-36);
};

const PREFIX = 'funnelcast.';
let store = {}; // where a browser blocks its own
try {
  store = localStorage || store;
} catch {}

// Nothing of a visitor outlives the page.
export const storeNothing = () => (store = {});

export const recall = (name) => store[PREFIX + name];

// Without a value it is forgotten; a full store keeps what it has.
export const keep = (name, value) => {
  try {
    value && config.isOpen ? (store[PREFIX + name] = value) : delete store[PREFIX + name];
  } catch {}
};

// A key of somebody else gives `undefined`, which is no name of ours.
export const keptNames = () => Object.keys(store).map((key) => key.split(PREFIX)[1]);

// An empty value removes it. The widest domain that the browser takes wins, so that sub-domains share the visitor.
// A top-level domain is never taken, and a numeric address has none: Firefox would warn about each attempt.
export const cookie = (value) => {
  if (config.cookieless) return;
  const parts = location.hostname.split('.');
  for (let at = /\.\d+$/.test(location.hostname) ? 0 : parts.length - 1; at-- > -1; ) {
    D.cookie =
      `funnelcast_id=${value};path=/;max-age=${value ? 31536e3 : 0};SameSite=Lax` +
      (location.protocol[5] ? ';Secure' : '') + // https:
      (at < 0 ? '' : ';domain=' + parts.slice(at).join('.'));
    if (value && D.cookie.includes(value)) return;
  }
};
