// Asks the API, and keeps a stream of server-sent events open. With `fetch` and not EventSource: that one can send no
// read key, and does not say why it failed.

const KEY = 'funnelcast.key';
const MOST_SECONDS = 15;
const SILENCE_MS = 10_000; // a pulse comes every second; a stream without one is dead

export class ApiError extends Error {
  constructor(status, { code = '', message = '' } = {}) {
    super(message || `status ${status}`);
    this.status = status;
    this.code = code;
  }
}

/** The read key of this tab. */
export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** An address of the API: parameters that are null are left out. */
export function address(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The document of an address. Throws ApiError; TypeError where no server answers. */
export async function get(url, signal) {
  const answer = await fetch(url, { headers: headers(), signal });
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  return answer.json();
}

/**
 * Watch addresses until the signal is aborted. `on.answer(number, status, document)`, `on.pulse(document)`,
 * `on.error(error)` before every new try, `on.key()` where a read key is needed; then it has ended.
 */
export async function watch(urls, on, signal) {
  const url = `/v1/live?${new URLSearchParams(urls.map((each) => ['watch', each]))}`;
  for (let seconds = 1; !signal.aborted; seconds = Math.min(2 * seconds, MOST_SECONDS)) {
    const silence = new AbortController();
    const either = AbortSignal.any([signal, silence.signal]);
    try {
      const answer = await fetch(url, { headers: headers(), signal: either, cache: 'no-store' });
      if (answer.status === 401) return on.key();
      if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
      for await (const { event, data } of events(answer.body, silence)) {
        seconds = 1;
        if (event === 'pulse') on.pulse(data);
        if (event === 'answer') on.answer(data.watch, data.status, data.answer);
      }
      throw new ApiError(0, { message: 'the stream ended' });
    } catch (error) {
      if (signal.aborted) return;
      on.error(error);
      await pause(seconds * 1000, signal);
    }
  }
}

async function* events(body, silence) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
      if (lines.event) yield { event: lines.event, data: JSON.parse(lines.data) };
    }
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
