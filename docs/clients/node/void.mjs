// Void one order and wait for the outcome: node void.mjs ORDER_ID CURRENCY [COMMENT]
//
// Signs with @smithy/signature-v4, sends with fetch; configuration and exit codes are in README.md, one folder up.
// Repeats nothing that the service does not declare safe to repeat, and never reads "not known" as "not voided".
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

const [VOIDED, REFUSED, LATER, MISUSE] = [0, 1, 2, 3];

// The last part of a problem's type: exit code, whether the same request is repeated, what to do.
const PROBLEMS = new Map([
  ["invalid-request", [MISUSE, false, "correct everything listed"]],
  ["unauthenticated", [MISUSE, false, "check VOID_SERVICE_URL, AWS_REGION, the credentials, the role and the clock"]],
  ["not-found", [MISUSE, false, "there is no void of this order here: check the order and VOID_SERVICE_URL"]],
  ["in-progress", [LATER, true, "another request for this order is in flight: run the same again"]],
  ["not-voidable", [REFUSED, false, "see the reason"]],
  ["too-many-attempts", [REFUSED, false, "twenty attempts were made: a person must look"]],
  ["too-large", [MISUSE, false, "send a shorter comment"]],
  ["unsupported-media-type", [MISUSE, false, "send Content-Type: application/json"]],
  ["idempotency-mismatch", [MISUSE, false, "this IDEMPOTENCY_KEY came with another body: use a new one"]],
  ["currency-mismatch", [MISUSE, false, "use the currency of the void on record"]],
  ["throttled", [LATER, true, "too many requests, nothing was done: run the same again"]],
  ["provider-credentials", [LATER, false, "nothing was voided, the operators are alarmed: run the same again later"]],
  ["not-sent", [LATER, true, "nothing was sent: run the same again"]],
  ["outcome-unknown", [LATER, true, "it may be voided or not: run the same again, which is safe"]],
]);

// Why a void failed: exit code, what to do.
const REASONS = new Map([
  ["refused", [REFUSED, "understand the provider's answer; to try again use a new IDEMPOTENCY_KEY"]],
  ["already-captured", [REFUSED, "the money was taken: decide about a refund, which is another operation"]],
  ["order-not-found", [REFUSED, "the provider knows no such order: check the order_id"]],
  ["not-executed", [REFUSED, "the hold still stands: use a new IDEMPOTENCY_KEY if the void is still wanted"]],
  ["not-sent", [LATER, "nothing was sent: run the same again"]],
  ["throttled", [LATER, "too many requests, nothing was done: run the same again"]],
  ["provider-credentials", [LATER, "nothing was voided, the operators are alarmed: run the same again later"]],
]);

const { env } = process;
const url = (env.VOID_SERVICE_URL ?? "").replace(/\/+$/, "");
const key = env.IDEMPOTENCY_KEY || randomUUID();
const [orderId, currency, comment, ...more] = process.argv.slice(2);
if (!url || !env.AWS_REGION || !env.AWS_ACCESS_KEY_ID || !env.AWS_SECRET_ACCESS_KEY || !currency || more.length) {
  finish(MISUSE, "set VOID_SERVICE_URL, AWS_REGION and credentials; node void.mjs ORDER_ID CURRENCY [COMMENT]");
}
const signer = new SignatureV4({
  service: "execute-api",
  region: env.AWS_REGION,
  sha256: Sha256,
  // For profiles and roles: fromNodeProviderChain() of @aws-sdk/credential-providers.
  credentials: {
    accessKeyId: env.AWS_ACCESS_KEY_ID,
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
    sessionToken: env.AWS_SESSION_TOKEN,
  },
});

function finish(code, text) {
  console.error(text.replace(/\p{C}/gu, "?")); // a terminal obeys control characters
  if (code === LATER) console.error(`with IDEMPOTENCY_KEY=${key}`);
  process.exit(code);
}

/** The answer, or null if there is none: then nobody knows whether the request arrived. */
async function call(method, path, headers = {}, body = undefined) {
  const { protocol, hostname, port, host, pathname } = new URL(url + path);
  const request = { method, protocol, hostname, port, path: pathname, headers: { ...headers, host }, body };
  const signed = await signer.sign(request);
  delete signed.headers.host; // fetch sets it, to the same
  try {
    // The API answers within 29 s.
    const options = { method, headers: signed.headers, body, redirect: "manual", signal: AbortSignal.timeout(35_000) };
    const answer = await fetch(url + path, options);
    return { status: answer.status, retryAfter: answer.headers.get("retry-after"), text: await answer.text() };
  } catch (error) {
    console.error(`no answer: ${error.cause?.code ?? error.name}`);
    return null;
  }
}

/** Exit code, whether to go on, what to say. */
function judge(answer) {
  if (answer === null) return [LATER, true, `outcome-unknown: ${PROBLEMS.get("outcome-unknown")[2]}`];
  let document;
  let name;
  try {
    document = JSON.parse(answer.text);
    if (answer.status === 200 || answer.status === 202) return judgeRecord(document);
    name = document.type.split(":").at(-1);
    if (!PROBLEMS.has(name)) throw new Error(name);
  } catch {
    return answer.status >= 400 && answer.status < 500
      ? [MISUSE, false, `HTTP ${answer.status} by something that is not the void service: check the URL`]
      : [LATER, true, `HTTP ${answer.status}, not understood: it may be voided or not: run the same again`];
  }
  let [code, again, advice] = PROBLEMS.get(name);
  const errors = (document.errors ?? []).map((error) => `${error.pointer} ${error.detail}`);
  const details = [document.detail, document.provider_code, document.provider_message, ...errors].filter(Boolean);
  if (name === "not-voidable") {
    const reason = document.void.reason;
    [code, advice] = REASONS.get(reason) ?? [code, advice];
    name = `${name} (${reason})`;
  }
  return [code, again, `${name}: ${details.join("; ")}. Do: ${advice}`];
}

function judgeRecord({ state, reason, review, resend_allowed: resendAllowed }) {
  if (state === "voided") return [VOIDED, false, "voided"];
  if (state === "failed") {
    const [code, advice] = REASONS.get(reason) ?? [REFUSED, "see how-a-void-works.md"];
    return [code, false, `failed (${reason}). Do: ${advice}`];
  }
  if (!["submitting", "unknown", "pending"].includes(state)) throw new Error("not a record");
  if (resendAllowed) {
    return [LATER, false, `${state}: it did not arrive. Do: send it again with a new IDEMPOTENCY_KEY, not with this`];
  }
  const looking = review ? ", and a person must look at it" : "";
  return [LATER, true, `${state}: not known yet${looking}. Do: run the same again later`];
}

const deadline = performance.now() + 1000 * Number(env.VOID_WAIT_SECONDS ?? 120);
const wanted = JSON.stringify({ order_id: orderId, order_currency: currency, comment: comment || undefined });
const headers = { "content-type": "application/json", "idempotency-key": key };
let accepted = false; // after a 202 the intent is durable: it is enough to read
let wait = 5;
for (;;) {
  const answer = accepted
    ? await call("GET", `/voids/${encodeURIComponent(orderId)}`)
    : await call("POST", "/voids", headers, wanted);
  const [code, again, text] = judge(answer);
  if (code === VOIDED) process.stdout.write(`${answer.text}\n`);
  // A read has no Retry-After: it is asked less and less often.
  if (/^\d+$/.test(answer?.retryAfter ?? "")) wait = Number(answer.retryAfter);
  else if (accepted) wait = Math.min(wait * 2, 60);
  accepted ||= answer?.status === 202;
  if (!again || performance.now() + 1000 * wait > deadline) finish(code, text);
  console.error(`${text.split(":")[0]}: again in ${wait} s`);
  await sleep(1000 * wait);
}
