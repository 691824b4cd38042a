// @segment/analytics-node

import { Analytics } from "@segment/analytics-node";
import { failed, key, run, url } from "./plan.mjs";
import { segmentCalls } from "./segment_calls.mjs";

const analytics = new Analytics({ writeKey: key, host: url, flushAt: 5, flushInterval: 200 });
analytics.on("error", failed);

const call = (method, message) => analytics[method](message);
await run({
  act: segmentCalls(call),
  flush: () => analytics.flush({ timeout: 60_000 }),
  close: () => analytics.closeAndFlush({ timeout: 60_000 }),
});
