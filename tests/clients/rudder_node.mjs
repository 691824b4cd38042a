// @rudderstack/rudder-sdk-node

import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { failed, key, run, url } from "./plan.mjs";
import { segmentCalls } from "./segment_calls.mjs";

const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 5, flushInterval: 200, retryCount: 12 });

// Every call is answered with the outcome of its batch.
const sent = [];
function call(method, message) {
  sent.push(new Promise((resolve) => client[method](message, (error) => resolve(error && failed(error)))));
}

await run({
  act: segmentCalls(call),
  flush: () => Promise.all(sent.splice(0)),
});
