// @segment/analytics-node

import { Analytics } from "@segment/analytics-node";
import { failed, key, run, url } from "./plan.mjs";

const analytics = new Analytics({ writeKey: key, host: url, flushAt: 5, flushInterval: 200 });
analytics.on("error", failed);

const call = (method, message) => analytics[method](message);
await run({
  act({ anonymous, user, email, order, value }) {
    call("page", { anonymousId: anonymous, name: "Home", properties: { path: "/" } });
    call("track", { anonymousId: anonymous, event: "Product Viewed", properties: { name: "Tea", price: 3.5 } });
    call("identify", { anonymousId: anonymous, userId: user, traits: { email, plan: "team" } });
    call("alias", { userId: user, previousId: anonymous });
    call("group", { userId: user, groupId: "g1", traits: { size: 3 } });
    call("track", { userId: user, event: "Order Completed", properties: { order_id: order, revenue: value, currency: "EUR" } });
  },
  flush: () => analytics.flush({ timeout: 60_000 }),
  close: () => analytics.closeAndFlush({ timeout: 60_000 }),
});
