// cloudevents, the project's own SDK for JavaScript: it makes the messages, fetch sends them

import { CloudEvent, HTTP } from "cloudevents";
import { failed, key, pause, run, url } from "./plan.mjs";

const waiting = [];

async function send(message) {
  for (let attempt = 0; attempt < 900; attempt += 1) {
    try {
      const headers = { ...message.headers, authorization: `Bearer ${key}` };
      const answer = await fetch(`${url}/v1/cloudevents`, { method: "POST", headers, body: message.body });
      if (answer.status < 400) return;
      if (answer.status < 500) return failed(await answer.text());
    } catch {
      // the connection: try again
    }
    await pause(100);
  }
  failed("given up");
}

const event = (id, type, data, extensions) =>
  new CloudEvent({ id, type, source: "/shop", data, datacontenttype: "application/json", ...extensions });

await run({
  act({ anonymous, user, email, order, value }) {
    waiting.push(send(HTTP.binary(event(`${order}-1`, "page", { path: "/" }, { anonymousid: anonymous }))));
    waiting.push(send(HTTP.structured(event(`${order}-2`, "identify", { email }, { anonymousid: anonymous, userid: user }))));
    waiting.push(send(HTTP.binary(event(`${order}-3`, "order-completed", { order_id: order, value, user_id: user }))));
  },
  flush: () => Promise.all(waiting.splice(0)),
});
