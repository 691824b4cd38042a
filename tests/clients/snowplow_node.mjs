// @snowplow/node-tracker

import { buildEcommerceTransaction, buildPageView, buildSelfDescribingEvent, buildStructEvent, newTracker } from "@snowplow/node-tracker";
import { failed, key, pause, run, url } from "./plan.mjs";

// The tracker sends what failed with the next event, or when it is asked to flush again.
let waiting = 0;
const tracker = newTracker(
  { namespace: "t", appId: "shop", encodeBase64: true },
  {
    endpoint: url,
    eventMethod: "post",
    bufferSize: 5,
    customHeaders: { "x-write-key": key },
    onRequestSuccess: (events) => { waiting -= events.length; },
    onRequestFailure: ({ willRetry, events, message }) => { if (!willRetry) failed(`${events.length} dropped: ${message}`); },
  },
);

function track(anonymous, user, event) {
  waiting += 1;
  tracker.setDomainUserId(anonymous);
  tracker.setUserId(user);
  return tracker.track(event);
}

const described = (name, data) =>
  buildSelfDescribingEvent({ event: { schema: `iglu:com.example/${name}/jsonschema/1-0-0`, data } });

await run({
  act({ anonymous, user, order, value }) {
    track(anonymous, null, buildPageView({ pageUrl: "https://shop.example.com/?gclid=1", pageTitle: "Home" }));
    track(anonymous, null, described("product_viewed", { name: "Tea", price: 3.5 }));
    track(anonymous, user, buildStructEvent({ category: "account", action: "Signed Up", label: "team", value: 1 }));
    track(anonymous, user, described("order_completed", { order_id: order, value, currency: "EUR" }));
    track(anonymous, user, buildEcommerceTransaction({ orderId: `${order}-t`, total: value, currency: "EUR" }));
  },
  async flush() {
    while (waiting > 0) {
      await tracker.flush();
      await pause(100);
    }
  },
});
