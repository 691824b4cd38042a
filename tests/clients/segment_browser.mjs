// @segment/analytics-next in a page without a browser. It asks the collector for its settings, as it asks Segment's CDN.

import { JSDOM } from "jsdom";
import { key, pause, run, url } from "./plan.mjs";

const page = "https://shop.example.com/tea?utm_source=news&utm_campaign=may&gclid=1";
const { window } = new JSDOM("<title>Tea</title>", { url: page, pretendToBeVisual: true });
for (const name of ["window", "document", "location", "localStorage", "navigator", "screen", "HTMLElement", "Event", "CustomEvent"]) {
  Object.defineProperty(globalThis, name, { value: name === "window" ? window : window[name], configurable: true });
}

// A page has no flush: an event is sent when its answer came.
let answered = 0;
let calls = 0;
const plain = globalThis.fetch;
globalThis.fetch = window.fetch = async (target, options) => {
  const answer = await plain(target, options);
  answered += options?.method?.toUpperCase() === "POST" && answer.ok;
  return answer;
};

const { AnalyticsBrowser } = await import("@segment/analytics-next");
const [analytics] = await AnalyticsBrowser.load({ writeKey: key, cdnURL: url }, { integrations: {} });

function call(method, ...values) {
  calls += 1;
  return analytics[method](...values);
}

async function flush() {
  while (answered < calls) await pause(50);
}

// What is sent again says who the visitor is by then, so nobody becomes somebody while something waits.
await run({
  async act({ anonymous, user, email, order, value }) {
    analytics.reset();
    analytics.setAnonymousId(anonymous);
    await call("page", "Home");
    await call("track", "Product Viewed", { name: "Tea", price: 3.5 });
    await flush();
    await call("identify", user, { email, plan: "team" });
    await call("alias", user, anonymous);
    await call("group", "g1", { size: 3 });
    await call("track", "Order Completed", { order_id: order, revenue: value, currency: "EUR" });
    await flush();
  },
  flush,
});
