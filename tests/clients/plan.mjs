// What a client is to do, as the test wrote it: people who look, say who they are, and buy.
//
// `node <client>.mjs URL KEY` with the plan as one line on stdin. A client does the first half, sends it, says "half" and
// waits for a line; then the second half. At the end it says "done", or which of its calls failed.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;

export const [url, key] = process.argv.slice(2);

// `act(person)` makes the calls of one person; `flush()` resolves when nothing waits any more.
export async function run({ act, flush, close = async () => {} }) {
  const { people } = JSON.parse(await read());
  const middle = Math.ceil(people.length / 2);
  for (const person of people.slice(0, middle)) await act(person);
  await flush();
  console.log("half");
  await read();
  for (const person of people.slice(middle)) await act(person);
  await flush();
  await close();
  console.log("done");
  process.exit(0);
}

export function failed(error) {
  console.log(`failed: ${error?.stack ?? JSON.stringify(error)}`);
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
