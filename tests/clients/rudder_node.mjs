// @rudderstack/rudder-sdk-node

import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { failed, key, run, url } from "./plan.mjs";

const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 5, flushInterval: 200, retryCount: 12 });

// Every call is answered with the outcome of its batch.
const sent = [];
function call(method, message) {
  sent.push(new Promise((resolve) => client[method](message, (error) => resolve(error && failed(error)))));
}

await run({
  act({ anonymous, user, email, order, value }) {
    call("page", { anonymousId: anonymous, name: "Home", properties: { path: "/" } });
    call("track", { anonymousId: anonymous, event: "Product Viewed", properties: { name: "Tea", price: 3.5 } });
    call("identify", { anonymousId: anonymous, userId: user, traits: { email, plan: "team" } });
    call("alias", { userId: user, previousId: anonymous });
    call("group", { userId: user, groupId: "g1", traits: { size: 3 } });
    call("track", { userId: user, event: "Order Completed", properties: { order_id: order, revenue: value, currency: "EUR" } });
  },
  flush: () => Promise.all(sent.splice(0)),
});
