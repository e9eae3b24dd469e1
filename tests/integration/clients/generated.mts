// Submits twice and reads once, with types that others generate from openapi.json.
import type { components, paths } from "./api.d.ts";
type Submit = paths["/voids"]["post"];
const url = process.argv[2] ?? "";
const wanted: Submit["requestBody"]["content"]["application/json"] = { order_id: "123", order_currency: "UAH" };
const got = await fetch(`${url}/voids`, { method: "POST", body: JSON.stringify(wanted) });
const record = (await got.json()) as Submit["responses"][202]["content"]["application/json"];
const refused = await fetch(`${url}/voids`, { method: "POST", body: JSON.stringify(wanted) });
const problem = (await refused.json()) as components["schemas"]["Problem"];
const read = (await (await fetch(`${url}/voids/123`)).json()) as components["schemas"]["VoidWithWebhooks"];
// @ts-expect-error
const nothing = record.nothing;
console.log(record.state, problem.void?.state, read.webhooks?.length, record.provider?.amount ?? nothing);
