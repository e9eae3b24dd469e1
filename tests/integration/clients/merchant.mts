// What a merchant may write in TypeScript, and may not; RECORD and its like come from the contract.
import { VoidClient } from "void-service-client";
import type { Problem, Provider, Reason, State, VoidRecord, VoidWithWebhooks, Webhook } from "void-service-client";
const record: VoidRecord = RECORD;
export const both: VoidWithWebhooks = { ...record, webhooks: [], webhooks_truncated: false };
const states: Record<State, 1> = STATES;
const reasons: Record<Reason, 1> = REASONS;
export const problem: Problem = PROBLEM;
const client = new VoidClient("https://x.example/v1", {
  credentials: async () => ({ accessKeyId: "a", secretAccessKey: "b", sessionToken: "c" }), log: (entry) => console.log(entry.event),
});
console.log(record, states, reasons, client);
// @ts-expect-error
client.void("1", "UAH");
// @ts-expect-error
client.void(1, "UAH", { idempotencyKey: "k" });
// @ts-expect-error
client.voids("open");
// @ts-expect-error
client.void("1", "UAH", { idempotencyKey: "k", amount: 1 });
// @ts-expect-error
record.nothing;
// @ts-expect-error
const amount: number | null | undefined = record.provider?.amount;
// @ts-expect-error
client.decide("1", "maybe", { revision: "0", note: "n" });
