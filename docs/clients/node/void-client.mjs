#!/usr/bin/env node
// A client of the void service: `void` resolves when the hold is released, and rejects in every other case.
//
//   const client = new VoidClient("https://….execute-api.eu-central-1.amazonaws.com/v1", "eu-central-1");
//   const record = await client.void("123", "UAH", { idempotencyKey: decisionId });
//
// One file, to install or to copy. It repeats only what the contract declares safe to repeat, always with the key that
// it was given, and never reads "not known" as "not voided". As a program: void-client.mjs ORDER_ID CURRENCY [COMMENT]
import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

/** Of the contract, openapi.json. */
export const VERSION = "1.0.0";

// ---- what the service answers, as openapi.json names it --------------------------------------------------------------

/** @typedef {"submitting" | "unknown" | "pending" | "failed" | "voided"} State */
/**
 * @typedef {"refused" | "already-captured" | "order-not-found" | "not-executed" | "not-sent" | "throttled"
 *   | "provider-credentials"} Reason
 */
/**
 * The provider's own fields. Amounts are text with the digits that the provider sent, because JavaScript's numbers are
 * binary floating point.
 * @typedef {object} Provider
 * @property {string | null} operation_id
 * @property {string | null} payment_id
 * @property {string | null} order_id
 * @property {string | null} transaction_id
 * @property {string | null} pos_id
 * @property {string | null} mode
 * @property {string | null} method
 * @property {string | null} amount
 * @property {string | null} currency
 * @property {string | null} status
 * @property {string | null} status_code
 * @property {string | null} status_description
 * @property {string | null} created_at
 * @property {string | null} processing_time
 * @property {unknown} fee
 * @property {string | null} comment
 */
/** @typedef {{ at: string, state: State, evidence: "request" | "answer" | "webhook" | "query" }} Step */
/**
 * The record of one order's void.
 * @typedef {object} VoidRecord
 * @property {string} order_id
 * @property {State} state
 * @property {Reason | null} reason
 * @property {boolean} review
 * @property {boolean} corrected
 * @property {boolean} resend_allowed
 * @property {string | null} order_currency
 * @property {string | null} comment
 * @property {number} attempt
 * @property {string | null} requested_at
 * @property {string | null} requested_by
 * @property {string | null} settled_at
 * @property {Provider | null} provider
 * @property {Step[]} history
 */
/** @typedef {{ received_at: string, method: string, status: string, provider: Provider }} Event */
/** @typedef {VoidRecord & { events: Event[], events_truncated: boolean }} VoidWithEvents */
/**
 * A problem document (RFC 9457).
 * @typedef {object} Problem
 * @property {string} type
 * @property {string} title
 * @property {number} [status]
 * @property {string} detail
 * @property {string} request_id
 * @property {string} [order_id]
 * @property {{ pointer: string, detail: string }[]} [errors]
 * @property {VoidRecord} [void]
 * @property {string | null} [provider_code]
 * @property {string | null} [provider_message]
 */

// ---- what is thrown: one class for each problem type, in three groups ------------------------------------------------

/**
 * @typedef {object} Facts
 * @property {string | undefined} [advice]
 * @property {number | null} [status]
 * @property {Problem | null} [problem]
 * @property {VoidRecord | null} [record]
 * @property {number | null} [retryAfter]
 * @property {unknown} [cause]
 */

/** The hold is not known to be released. `problem`, `record`, `status`, `retryAfter` are null where there is none. */
export class VoidError extends Error {
  static problem = "";
  static advice = "";

  /** @param {string} detail @param {Facts} [facts] */
  constructor(detail, { advice = "", status = null, problem = null, record = null, retryAfter = null, cause } = {}) {
    const kind = /** @type {typeof VoidError} */ (new.target);
    const which = kind.decides ? record?.[kind.decides] : undefined;
    const label = which === undefined ? kind.problem : `${kind.problem} (${which})`;
    // Parts of it come from outside, and a terminal obeys control characters.
    super(`${label}: ${detail}. Do: ${advice || kind.advice}`.replace(/\p{C}/gu, "?"), { cause });
    this.name = kind.name;
    /** The problem's name, with the void's reason or state where that decides. */
    this.label = label;
    this.advice = advice || kind.advice;
    this.status = status;
    this.problem = problem;
    this.record = record;
    this.retryAfter = retryAfter;
  }

  /** @type {"reason" | "state" | null} */
  static decides = null;
}

/** For good: the same key gets the same answer. To try again is a new decision, with a new key. */
export class Refused extends VoidError {}

/** Not known, or not possible now: the same request, with the same key, is safe to repeat. */
export class RepeatLater extends VoidError {
  /** Seconds, where the service names none. */
  static firstPause = 5;
}

/** The request or the configuration must be corrected. */
export class Misuse extends VoidError {}

/** A problem that this version does not know, or an answer by something that is not the void service. */
export class UnknownProblem extends VoidError {
  static problem = "unknown-problem";
  static advice = "check the URL and the version of this client";
}
export class InvalidRequest extends Misuse {
  static problem = "invalid-request";
  static advice = "correct everything listed";
}
export class Unauthenticated extends Misuse {
  static problem = "unauthenticated";
  static advice = "check the URL, the region, the credentials, the role and the clock";
}
export class NotFound extends Misuse {
  static problem = "not-found";
  static advice = "there is no void of this order here: check the order and the URL";
}
export class TooLarge extends Misuse {
  static problem = "too-large";
  static advice = "send a shorter comment";
}
export class UnsupportedMediaType extends Misuse {
  static problem = "unsupported-media-type";
  static advice = "let nothing change the request's Content-Type";
}
export class IdempotencyMismatch extends Misuse {
  static problem = "idempotency-mismatch";
  static advice = "this key came with another body: one key is one decision";
}
export class CurrencyMismatch extends Misuse {
  static problem = "currency-mismatch";
  static advice = "use the currency of the void on record";
}
export class NotVoidable extends Refused {
  static problem = "not-voidable";
  static advice = "see the reason";
  /** @type {"reason"} */
  static decides = "reason";
}
export class TooManyAttempts extends Refused {
  static problem = "too-many-attempts";
  static advice = "twenty attempts were made: the operators must look";
}
export class InProgress extends RepeatLater {
  static problem = "in-progress";
  static advice = "another request for this order is in flight: repeat the same request";
}
export class Throttled extends RepeatLater {
  static problem = "throttled";
  static advice = "too many requests, nothing was done: repeat the same request";
}
export class ProviderCredentials extends RepeatLater {
  static problem = "provider-credentials";
  static advice = "nothing was voided, the operators are alarmed: repeat the same later";
  static firstPause = 60; // the operators act first
}
export class NotSent extends RepeatLater {
  static problem = "not-sent";
  static advice = "nothing was sent: repeat the same request";
}
/** Also any other 5xx, an answer that cannot be read, and no answer at all. */
export class OutcomeUnknown extends RepeatLater {
  static problem = "outcome-unknown";
  static advice = "it may be voided or not: repeat the same request, which is safe";
}
/** No problem of the service: the void was accepted, and is open at the end of the patience. */
export class NotSettledYet extends RepeatLater {
  static problem = "not-settled-yet";
  static advice = "repeat the same request later, or read the void";
  /** @type {"state"} */
  static decides = "state";
}

const PROBLEM = "urn:void-service:problem:";
/** @type {Map<string, typeof VoidError>} */
const PROBLEMS = new Map(
  [
    InvalidRequest, Unauthenticated, NotFound, InProgress, NotVoidable, TooManyAttempts, TooLarge,
    UnsupportedMediaType, IdempotencyMismatch, CurrencyMismatch, Throttled, ProviderCredentials, NotSent,
    OutcomeUnknown,
  ].map((kind) => [PROBLEM + kind.problem, kind]),
);
// What a gateway or a proxy may answer in words of its own.
/** @type {Map<number, typeof VoidError>} */
const BY_STATUS = new Map([[403, Unauthenticated], [413, TooLarge], [429, Throttled]]);
/** @type {Map<unknown, string>} */
const REASONS = new Map([
  ["refused", "understand the provider's answer; to ask again is a new decision, with a new key"],
  ["already-captured", "the money was taken: decide about a refund, which is another operation"],
  ["order-not-found", "the provider knows no such order: check the order id; after that, ask with a new key"],
  ["not-executed", "the hold still stands: if the void is still wanted, ask with a new key"],
]);
const NEW_KEY = "it did not arrive: if the void is still wanted, ask with a new key";
const REVIEW = "the operators must look at it; repeat the same request later, or read the void";

// ---- the client ------------------------------------------------------------------------------------------------------

/** @typedef {{ accessKeyId: string, secretAccessKey: string, sessionToken?: string }} Credentials */
/** @typedef {{ status: number, document: any, location: string, retryAfter: number | null }} Answer */
/**
 * @typedef {object} Options
 * @property {Credentials | (() => Promise<Credentials>)} [credentials] of the environment if it is left out; for profiles
 *   and roles give a provider of the AWS SDK, such as fromNodeProviderChain()
 * @property {number} [timeout] of one request, in seconds: the API answers within 29
 * @property {(error: RepeatLater, seconds: number) => void} [onWait] is told of each pause and its cause
 */

export class VoidClient {
  #url;
  #signer;
  #timeout;
  #onWait;

  /** @param {string} url the API with its stage @param {string} region @param {Options} [options] */
  constructor(url, region, { credentials = fromEnvironment, timeout = 35, onWait = () => {} } = {}) {
    if (!/^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(url)) throw new TypeError(`not the URL of an API: ${url}`);
    if (!region) throw new TypeError("a region is needed");
    this.#url = url.replace(/\/+$/, "");
    this.#signer = new SignatureV4({ service: "execute-api", region, sha256: Sha256, credentials });
    this.#timeout = timeout;
    this.#onWait = onWait;
  }

  /**
   * Release the hold of an order, and wait up to `wait` seconds for the outcome. Resolves only to a voided record.
   *
   * Keep one key with each decision to void, and give it whenever you ask again. With `wait: 0` one request is sent.
   * @param {string} orderId
   * @param {string} orderCurrency
   * @param {{ idempotencyKey: string, comment?: string | undefined, wait?: number }} decision
   * @returns {Promise<VoidRecord>}
   */
  async void(orderId, orderCurrency, { idempotencyKey, comment, wait = 120 }) {
    if (!/^[ -~]{1,255}$/.test(idempotencyKey)) {
      throw new TypeError("an idempotency key has 1 to 255 printable ASCII characters");
    }
    if (!(wait >= 0)) throw new TypeError("the seconds to wait are a number, 0 or more");
    const body = JSON.stringify({ order_id: orderId, order_currency: orderCurrency, comment });
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey };
    const deadline = performance.now() + 1000 * wait;
    let location = "";
    let pause = 0;
    for (;;) {
      try {
        const answer = location // the intent is durable: it is enough to read
          ? await this.#call("GET", location)
          : await this.#call("POST", `${this.#url}/voids`, body, headers);
        const record = recordOf(answer, orderId);
        if (record.state === "voided") return record;
        if (record.state === "failed") {
          if (!location) throw unreadable(answer); // a refusal is a problem document
          location = ""; // what that means for this key, the service says when it is asked with this key
          continue;
        }
        location ||= this.#location(answer, orderId);
        throw stillOpen(answer, record);
      } catch (error) {
        if (!(error instanceof RepeatLater)) throw error;
        const { firstPause } = /** @type {typeof RepeatLater} */ (error.constructor);
        pause = error.retryAfter === null ? Math.min(Math.max(pause * 2, firstPause), 60) : Math.max(error.retryAfter, 1);
        if (error.record?.resend_allowed || performance.now() + 1000 * pause > deadline) throw error;
        this.#onWait(error, pause);
        await sleep(1000 * pause);
      }
    }
  }

  /**
   * The record of an order's void; `refresh` has the provider asked first. Sent once.
   * @param {string} orderId
   * @param {{ refresh?: boolean }} [how]
   * @returns {Promise<VoidWithEvents>}
   */
  async read(orderId, { refresh = false } = {}) {
    const answer = await this.#call("GET", this.#orderUrl(orderId) + (refresh ? "?refresh=true" : ""));
    return /** @type {VoidWithEvents} */ (recordOf(answer, orderId));
  }

  /**
   * The voids that are not settled, next due first, or those that need a person; page by page.
   * @param {"unsettled" | "review"} [state]
   * @returns {AsyncGenerator<VoidRecord, void>}
   */
  async *voids(state = "unsettled") {
    const query = new URLSearchParams({ limit: "100", state });
    for (;;) {
      const answer = await this.#call("GET", `${this.#url}/voids?${query}`);
      const { voids, cursor } = answer.document;
      if (!Array.isArray(voids)) throw unreadable(answer);
      yield* voids;
      if (!cursor) return;
      query.set("cursor", cursor);
    }
  }

  /** @param {string} orderId */
  #orderUrl(orderId) {
    // No order has such an id, and in a path they mean something else.
    if (["", ".", ".."].includes(orderId)) throw new TypeError("no order has this id");
    return `${this.#url}/voids/${encodeURIComponent(orderId)}`;
  }

  /**
   * Where the answer says that the void is read; a place outside of this API gets no signed request.
   * @param {Answer} answer
   * @param {string} orderId
   */
  #location({ location }, orderId) {
    const base = `${this.#url}/voids`;
    const found = URL.canParse(location, base) ? new URL(location, base).href : "";
    const rest = found.startsWith(`${base}/`) ? found.slice(base.length + 1) : "";
    return /^[^/?#]+$/.test(rest) ? found : this.#orderUrl(orderId);
  }

  /**
   * Sign and send once. Resolves to a 2xx, and rejects for everything else.
   * @param {string} method
   * @param {string} url
   * @param {string} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>}
   */
  async #call(method, url, body, headers = {}) {
    const { protocol, hostname, port, host, pathname, searchParams } = new URL(url);
    const query = Object.fromEntries(searchParams);
    const signed = await this.#signer.sign({
      method, protocol, hostname, ...(port && { port: Number(port) }), path: pathname, query, body,
      headers: { ...headers, host, "user-agent": `void-client-node/${VERSION}` },
    });
    delete signed.headers.host; // fetch sets it, to the same
    let got;
    let text;
    try {
      const signal = AbortSignal.timeout(1000 * this.#timeout);
      got = await fetch(url, { method, headers: signed.headers, body: body ?? null, redirect: "manual", signal });
      text = await got.text();
    } catch (cause) {
      // Nobody knows whether the request arrived.
      const { name, cause: why } = /** @type {any} */ (cause);
      throw new OutcomeUnknown(`no answer (${why?.code ?? name})`, { cause });
    }
    const told = got.headers.get("retry-after") ?? "";
    const retryAfter = /^[0-9]{1,9}$/.test(told) ? Number(told) : null;
    const answer = { status: got.status, document: parse(text), location: got.headers.get("location") ?? "", retryAfter };
    if (got.ok) return answer;
    throw errorOf(answer);
  }
}

/** @returns {Promise<Credentials>} */
async function fromEnvironment() {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = process.env;
  if (!accessKeyId || !secretAccessKey) throw new TypeError("no AWS credentials in the environment");
  return { accessKeyId, secretAccessKey, ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }) };
}

/** @param {string} text */
function parse(text) {
  try {
    JSON.parse(text);
    // In valid JSON a quote inside of a string is escaped, so that only these two members can match.
    const document = JSON.parse(text.replace(/"(amount|fee)"(\s*:\s*)(-?[0-9][0-9.eE+-]*)/g, '"$1"$2"$3"'));
    return typeof document === "object" && document !== null ? document : {};
  } catch {
    return {};
  }
}

/** @param {Answer} answer @param {string} orderId @returns {VoidRecord} */
function recordOf(answer, orderId) {
  // A cut answer, or another order's record from a cache in between, is not this void's outcome.
  if (answer.document.order_id !== orderId || typeof answer.document.state !== "string") throw unreadable(answer);
  return answer.document;
}

/** @param {Answer} answer */
function unreadable({ status }) {
  return new OutcomeUnknown(`HTTP ${status}, not understood`, { status });
}

/** @param {Answer} answer @param {VoidRecord} record */
function stillOpen({ status, retryAfter }, record) {
  const advice = record.resend_allowed ? NEW_KEY : record.review ? REVIEW : "";
  return new NotSettledYet("the outcome is not known yet", { advice, status, record, retryAfter });
}

/**
 * What is thrown for an error: by the problem's type; without one of the service, by the status.
 * @param {Answer} answer
 */
function errorOf({ status, document, retryAfter }) {
  const otherwise = status >= 500 ? OutcomeUnknown : UnknownProblem;
  if (typeof document.type !== "string" || !document.type.startsWith(PROBLEM)) {
    const kind = BY_STATUS.get(status) ?? otherwise;
    const said = document.message || document.Message || "not a problem document of the void service";
    return new kind(`HTTP ${status}, ${said}`, { status, retryAfter });
  }
  /** @type {Problem} */
  const problem = document;
  const kind = PROBLEMS.get(problem.type) ?? otherwise;
  const record = problem.void ?? null;
  const errors = (problem.errors ?? []).map((error) => `${error.pointer} ${error.detail}`);
  const details = [problem.detail, problem.provider_code, problem.provider_message, ...errors].filter(Boolean);
  const advice = kind === NotVoidable ? REASONS.get(record?.reason) : "";
  return new kind(details.join("; "), { advice, status, problem, record, retryAfter });
}

// ---- the program -----------------------------------------------------------------------------------------------------

/** Void one order. Exit codes: 0 voided, 1 refused for good, 2 run the same again later, 3 misuse. */
async function main() {
  const { env } = process;
  const key = env.IDEMPOTENCY_KEY || randomUUID();
  if (!env.IDEMPOTENCY_KEY) console.error(`IDEMPOTENCY_KEY=${key}`); // first, so that it is known whatever happens
  const [orderId, currency, comment, ...more] = process.argv.slice(2);
  try {
    if (!orderId || !currency || more.length) throw new TypeError("ORDER_ID and CURRENCY are needed, and one COMMENT may follow");
    const client = new VoidClient(env.VOID_SERVICE_URL ?? "", env.AWS_REGION ?? "", {
      onWait: (error, seconds) => console.error(`${error.label}: again in ${seconds} s`),
    });
    const wait = Number(env.VOID_WAIT_SECONDS ?? 120);
    console.log(JSON.stringify(await client.void(orderId, currency, { idempotencyKey: key, comment, wait })));
    return 0;
  } catch (error) {
    if (error instanceof VoidError) {
      console.error(error.message);
      return error instanceof Refused ? 1 : error instanceof RepeatLater ? 2 : 3;
    }
    if (!(error instanceof TypeError || error instanceof URIError)) {
      // A crash would end with 1, which says "refused".
      console.error(`${/** @type {any} */ (error)?.name}: it may be voided or not: run the same again, which is safe`);
      return 2;
    }
    console.error(
      `${error.message}: set VOID_SERVICE_URL, AWS_REGION and credentials; void-client ORDER_ID CURRENCY [COMMENT]`,
    );
    return 3;
  }
}

// Also through the link that npm makes.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main();
