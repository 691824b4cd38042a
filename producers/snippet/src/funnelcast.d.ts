/** Types of funnelcast.js and funnelcast.mjs. */

export type Consent = 'granted' | 'pending' | 'denied';
export type Properties = Record<string, unknown>;

export interface Options {
  /** A write key of the scope `browser`. */
  key: string;
  /** The collector, e.g. `https://collect.example.com`; the script tag's own origin unless it is given. */
  host: string;
  /** Default `granted`. Until `granted` nothing is stored and nothing sent. */
  consent?: Consent;
  /** No page views by themselves; call `page()`. */
  manual?: boolean;
  /** The fragment of the address names the page (`#/cart`). */
  hash?: boolean;
  /** Query parameters that stay in addresses besides campaign tags and click ids, e.g. `"page q"`. */
  params?: string;
  /** Also forms without `data-funnel-form`, as `form_submit`: the form's name, no field. */
  forms?: boolean;
  /** Nothing is stored in the browser: the collector makes an id that holds for a day. */
  cookieless?: boolean;
  /** The console says what is sent and what the collector answers. */
  debug?: boolean;
  /** Browsers that say they are driven by a program (`navigator.webdriver`) are counted too. */
  allowBots?: boolean;
  /** Global Privacy Control is not taken for a `denied`. */
  ignoreGpc?: boolean;
}

/** Once, before anything is sent; the script tag's `data-key` does it by itself. */
export function init(options: Options): void;
/** An event of this page. */
export function track(name: string, properties?: Properties): void;
/** A page view (`page_view`) besides those that are noticed by themselves. */
export function page(properties?: Properties): void;
/** Who the visitor is; later events carry the id. `email` and `phone` among the traits are hashed by the collector. */
export function identify(userId?: string | number | null, traits?: Properties): void;
/** Forget who the visitor was, for a log-out: a new anonymous id, no first and last touch. */
export function reset(): void;
/** What the visitor allowed. `denied` also removes everything that was stored. */
export function consent(state: Consent): void;
/** Send now what waits. */
export function flush(): void;

export interface Funnelcast {
  init: typeof init;
  track: typeof track;
  page: typeof page;
  identify: typeof identify;
  reset: typeof reset;
  consent: typeof consent;
  flush: typeof flush;
}

declare global {
  interface Window {
    funnelcast: Funnelcast;
  }
  var funnelcast: Funnelcast;
}
