// @rudderstack/analytics-js in a page without a browser. It asks the collector for its source, as it asks RudderStack's
// control plane, and sends across origins: every request has a preflight.

import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
import { key, pause, run, url } from "./plan.mjs";

const page = "https://shop.example.com/tea?utm_source=news&utm_campaign=may&gclid=1";
const { window } = new JSDOM("<title>Tea</title>", { url: page, pretendToBeVisual: true, runScripts: "outside-only" });
Object.assign(window, { TextEncoder, TextDecoder });

// A page has no flush: an event is sent when its answer came.
let answered = 0;
let calls = 0;
const { open } = window.XMLHttpRequest.prototype;
window.XMLHttpRequest.prototype.open = function (method, ...rest) {
  if (method.toUpperCase() === "POST") this.addEventListener("load", () => { answered += this.status === 200; });
  return open.call(this, method, ...rest);
};

const bundle = "./node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js";
window.eval(readFileSync(new URL(bundle, import.meta.url), "utf8"));
const analytics = new window.rudderanalytics.RudderAnalytics();
await new Promise((resolve) => {
  analytics.ready(resolve);
  analytics.load(key, url, { configUrl: url, logLevel: "NONE", polyfillIfRequired: false });
});

function call(method, ...values) {
  calls += 1;
  analytics[method](...values);
}

async function flush() {
  while (answered < calls) await pause(50);
}

await run({
  async act({ anonymous, user, email, order, value }) {
    analytics.reset(true);
    analytics.setAnonymousId(anonymous);
    call("page", "Home");
    call("track", "Product Viewed", { name: "Tea", price: 3.5 });
    call("identify", user, { email, plan: "team" });
    call("alias", user, anonymous);
    call("group", "g1", { size: 3 });
    call("track", "Order Completed", { order_id: order, revenue: value, currency: "EUR" });
    await flush();
  },
  flush,
});
