// Calls the installed Node package as a merchant's code would: a task a line on standard input, its outcomes on the other.
//
// Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
import { syncBuiltinESMExports } from "node:module";
import readline from "node:readline";
import timers from "node:timers/promises";

let pace = 0;
let keys;
let ahead = 0;
const { setTimeout: really } = timers;
timers.setTimeout = async (milliseconds, value, options) => {
  await really(milliseconds * pace, value, options);
  ahead += milliseconds * (1 - pace);
};
syncBuiltinESMExports();
const now = performance.now.bind(performance);
Object.defineProperty(performance, "now", { value: () => (pace ? now() : 0) + ahead });
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [Date.now()]));
  }
  static now() {
    return RealDate.now() + ahead;
  }
};

const { ClientCredentials, VoidClient, VoidError, newest } = await import("void-service-client");

const clients = new Map();
function clientOf({ url, region, timeout, tokens }, log) {
  const key = JSON.stringify({ url, region, timeout, tokens });
  if (!clients.has(key)) {
    const byToken = tokens && new ClientCredentials(tokens.url, tokens.id, tokens.secret, tokens.scope);
    const signs = { accessKeyId: keys[0], secretAccessKey: keys[1] };
    const options = { region, timeout, tokens: byToken, credentials: signs, log: (entry) => clients.get(key).log(entry) };
    clients.set(key, new VoidClient(url, options));
  }
  const client = clients.get(key);
  client.log = log;
  return client;
}

async function outcome(given) {
  ahead += 1000 * (given.later ?? 0);
  if (given.call === "settled") {
    try {
      return { returned: [...newest(given.events).values()] };
    } catch (error) {
      return { raised: error instanceof TypeError ? "ValueError" : error.name };
    }
  }
  const waits = [];
  const ids = [];
  const log = (entry) => {
    if (entry.event === "wait") waits.push([entry.label, Math.round(entry.seconds)]);
    else ids.push(entry.requestId);
  };
  try {
    return { returned: await returned(clientOf(given, log), given), waits, ids };
  } catch (error) {
    if (!(error instanceof VoidError)) throw error;
    return {
      raised: error.constructor.name,
      label: error.label,
      advice: error.advice,
      message: error.message,
      status: error.status,
      document: error.document,
      record: error.record,
      retry_after: error.retryAfter,
      request_id: error.requestId,
      hint: error.hint,
      cause: error.cause instanceof VoidError ? error.cause.label : error.cause ? "foreign" : null,
      waits,
      ids,
    };
  }
}

async function returned(client, given) {
  const { call, order_id, order_currency, key, comment, wait, refresh, state, day, decision, revision, note, abort_after } = given;
  const signal = abort_after === undefined ? undefined : AbortSignal.timeout(abort_after);
  if (call === "void") return client.void(order_id, order_currency, { idempotencyKey: key, comment, wait, signal });
  if (call === "read") return client.read(order_id, { refresh });
  if (call === "decide") return client.decide(order_id, decision, { revision, note });
  const found = [];
  for await (const record of client.voids(state, { day })) found.push(record);
  return found;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  ({ pace, keys } = task);
  ahead = 0;
  clients.clear();
  const outcomes = [];
  if (task.together) outcomes.push(...(await Promise.all(task.cases.map(outcome))));
  else for (const given of task.cases) outcomes.push(await outcome(given));
  process.stdout.write(`${JSON.stringify(outcomes)}\n`);
}
