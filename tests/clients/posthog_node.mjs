// posthog-node

import { PostHog } from "posthog-node";
import { failed, key, run, url } from "./plan.mjs";

const client = new PostHog(key, {
  host: url,
  flushAt: 5,
  flushInterval: 200,
  fetchRetryCount: 300,
  fetchRetryDelay: 300,
  disableGeoip: false,
});
client.on("error", failed);

const capture = (distinctId, event, properties) => client.capture({ distinctId, event, properties });
await run({
  act({ anonymous, user, email, order, value }) {
    capture(anonymous, "$pageview", { $current_url: "https://shop.example.com/?utm_source=news" });
    capture(anonymous, "Product Viewed", { name: "Tea", price: 3.5 });
    client.identify({ distinctId: user, properties: { email, plan: "team", $anon_distinct_id: anonymous } });
    client.alias({ distinctId: user, alias: anonymous });
    client.groupIdentify({ groupType: "company", groupKey: "g1", properties: { size: 3 }, distinctId: user });
    capture(user, "Order Completed", { order_id: order, value, currency: "EUR" });
  },
  flush: () => client.flush(),
  close: () => client.shutdown(60_000),
});
