// Calls the installed Node package as a merchant's code would: a task on standard input, outcomes on standard output.
//
// Its time is not the machine's: a wait takes a part of its seconds or none, and the clock goes on by all of them.
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";

const { cases, pace, skew } = JSON.parse(readFileSync(0, "utf8"));

let ahead = 0;
const { setTimeout: really } = timers;
timers.setTimeout = async (milliseconds) => {
  await really(milliseconds * pace);
  ahead += milliseconds * (1 - pace);
};
syncBuiltinESMExports();
const now = performance.now.bind(performance);
Object.defineProperty(performance, "now", { value: () => now() + ahead });
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [RealDate.now() + 1000 * skew]));
  }
  static now() {
    return RealDate.now() + 1000 * skew;
  }
};

const { VoidClient, VoidError } = await import("void-service-client");

async function outcome(given) {
  const waits = [];
  try {
    const client = new VoidClient(given.url, given.region, {
      timeout: given.timeout,
      onWait: (error, seconds) => waits.push([error.label, seconds]),
    });
    return { returned: await returned(client, given), waits };
  } catch (error) {
    if (!(error instanceof VoidError)) {
      if (error instanceof TypeError) return { refused_before_sending: true };
      throw error;
    }
    const group = Object.getPrototypeOf(error.constructor);
    return {
      raised: error.constructor.name,
      group: group === VoidError ? "VoidError" : group.name,
      label: error.label,
      advice: error.advice,
      message: error.message,
      status: error.status,
      problem: error.problem,
      record: error.record,
      retry_after: error.retryAfter,
      waits,
    };
  }
}

async function returned(client, { call, order_id, order_currency, key, comment, wait, refresh, state }) {
  if (call === "void") return client.void(order_id, order_currency, { idempotencyKey: key, comment, wait });
  if (call === "read") return client.read(order_id, { refresh });
  const found = [];
  for await (const record of client.voids(state)) found.push(record);
  return found;
}

const outcomes = [];
for (const given of cases) outcomes.push(await outcome(given));
process.stdout.write(JSON.stringify(outcomes));
