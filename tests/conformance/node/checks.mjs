// Runs the checks of one client, and tells the outcome of each as a line of JSON on standard output.

import {inspect} from 'node:util';

/** What the check needs is not on this machine. */
export class NotHereError extends Error {}

const checks = [];
const strays = [];
const [url, model, embeddingModel] = process.argv.slice(2);
export const server = {url, v1: `${url}/v1`, model, embeddingModel};

// Nothing but the server may be asked.
const send = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const address = new URL(input.url ?? input);
  if (address.hostname !== '127.0.0.1') {
    strays.push(address.hostname);
    throw new TypeError(`${address.hostname} is not this machine`);
  }
  return send(input, init);
};

/** Gives a check; `run` runs them all, in order. */
export function check(name, body) {
  checks.push({name, body});
}

export async function run() {
  for (const {name, body} of checks) {
    try {
      await body();
      tell(name, 'passed', '');
    } catch (error) {
      if (error instanceof NotHereError) tell(name, 'missing', error.message);
      else tell(name, 'failed', inspect(error));
    }
  }
  tell('nothing_but_this_machine_is_asked', strays.length ? 'failed' : 'passed', strays.join(', '));
}

function tell(name, outcome, words) {
  console.log(JSON.stringify({check: name, outcome, words}));
}
