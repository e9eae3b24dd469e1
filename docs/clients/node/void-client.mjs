#!/usr/bin/env node
// A client of the void service: `void` resolves when the hold is released, and rejects in every other case.
//
//   const client = new VoidClient("https://….execute-api.eu-central-1.amazonaws.com/v1", { region: "eu-central-1" });
//   const record = await client.void("123", "UAH", { idempotencyKey: decisionId });
//
// One file, to install or to copy. It repeats only what the contract declares safe to repeat, always with the key that
// it was given, and never reads "not known" as "not voided". As a program: void-client.mjs ORDER_ID CURRENCY [COMMENT]
import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

/** Of the contract, openapi.json. */
export const VERSION = "2.0.0";

// ---- what the service answers, as openapi.json names it --------------------------------------------------------------

/** @typedef {string | null} Text */
/** @typedef {"submitting" | "unknown" | "pending" | "failed" | "voided"} State */
/**
 * @typedef {"refused" | "already-captured" | "order-not-found" | "not-executed" | "not-sent" | "throttled"
 *   | "provider-credentials"} Reason
 */
/** @typedef {"reviewed" | "not-voided" | "voided"} Ruling */
/**
 * The provider's own fields. Amounts are text with the digits that the provider sent, because JavaScript's numbers are
 * binary floating point.
 * @typedef {{ operation_id: Text, payment_id: Text, order_id: Text, transaction_id: Text, pos_id: Text, mode: Text,
 *   method: Text, amount: Text, currency: Text, status: Text, status_code: Text, status_description: Text,
 *   created_at: Text, processing_time: Text, fee: unknown, comment: Text }} Provider
 */
/** @typedef {{ at: string, state: State, evidence: "request" | "answer" | "webhook" | "query" | "operator" }} Step */
/** @typedef {{ reason: string, subject: string, since: string, read_at: Text }} Review */
/**
 * `end` null: it is in flight, or its answer was lost.
 * @typedef {{ number: number, requested_at: string, requested_by: Text, with_key: boolean, end: null | "not-sent"
 *   | "throttled" | "provider-credentials" | "refused" | "order-not-found" | "accepted", ended_at: Text }} Attempt
 */
/**
 * @typedef {{ method: string, operation_id: Text, transaction_id: Text, status: "under-way" | "failed" | "success",
 *   first_reported_at: string, last_reported_at: string, reported_by: ("answer" | "query" | "webhook")[] }} Operation
 */
/**
 * State and reason are those before it.
 * @typedef {{ at: string, by: Text, decision: Ruling, note: string, state: State, reason: Reason | null }} Decision
 */
/**
 * The record of one order's void.
 * @typedef {{ order_id: string, pos_id: string, state: State, reason: Reason | null, review: boolean,
 *   reviews: Review[], corrected: boolean, resend_allowed: boolean, order_currency: Text, comment: Text,
 *   attempt: number, requested_at: Text, requested_by: Text, settled_at: Text, provider: Provider | null,
 *   provider_code: Text, provider_message: Text, history: Step[], attempts: Attempt[], operations: Operation[],
 *   decisions: Decision[], version: number, revision: string }} VoidRecord
 */
/** @typedef {{ received_at: string, method: string, status: string, provider: Provider }} Webhook */
/** @typedef {VoidRecord & { webhooks: Webhook[], webhooks_truncated: boolean }} VoidWithWebhooks */
/**
 * A problem document (RFC 9457).
 * @typedef {{ type: string, title: string, detail: string, request_id: string, status?: number, order_id?: string,
 *   errors?: { pointer: string, detail: string }[], void?: VoidRecord, provider_code?: Text, provider_message?: Text }} Problem
 */
/**
 * What an event `void.settled` tells; a greater `version` of an order is newer.
 * @typedef {{ id: string, order_id: string, state: "voided" | "failed", reason: Reason | null, attempt: number,
 *   version: number, settled_at: string, review: boolean, corrected: boolean, order_currency: Text,
 *   by: "provider" | "operator" }} Settled
 */

// ---- what is thrown: three groups, and the problem's name -------------------------------------------------------------

/**
 * @typedef {{ status: number | null, document: any, location?: string, retryAfter: number | null, requestId: Text,
 *   hint: Text }} Answer
 */
/** @type {Answer} */
const NO_ANSWER = { status: null, document: {}, retryAfter: null, requestId: null, hint: null };
/**
 * @typedef {{ advice?: string, answer?: Answer, document?: Problem | null, record?: VoidRecord | null, cause?: unknown }} Facts
 */

/**
 * The hold is not known to be released. `problem` names why; what is not known is null; `cause` is what led to it.
 *
 * `record` is the last record that this call saw, `retryAfter` the seconds that the service named, `requestId` what the
 * operators find in their logs, `hint` what only a local run says about a signature.
 */
export class VoidError extends Error {
  /** @param {string} problem @param {string} detail @param {Facts} [facts] */
  constructor(problem, detail, { advice, answer = NO_ANSWER, document = null, record = null, cause } = {}) {
    const which = problem === "not-voidable" ? record?.reason : problem === "not-settled-yet" ? record?.state : undefined;
    const label = which ? `${problem} (${which})` : problem;
    const todo = advice || PROBLEMS[problem]?.[1] || "";
    const hint = answer.hint ? ` (${answer.hint})` : "";
    // Parts of it come from outside, and a terminal obeys control characters.
    super(`${label}: ${detail.replace(/\.+$/, "")}${hint}. Do: ${todo}`.replace(/\p{C}/gu, "?"), { cause });
    this.name = new.target.name;
    this.problem = problem;
    /** The problem's name, with the void's reason or state where that decides. */
    this.label = label;
    this.detail = detail;
    this.advice = todo;
    this.answer = answer;
    this.status = answer.status;
    this.retryAfter = answer.retryAfter;
    this.requestId = document?.request_id || answer.requestId;
    this.hint = answer.hint;
    this.document = document;
    this.record = record;
  }
}

/** The final no: the same key gets the same answer. To try again is a new decision, with a new key. */
export class NotVoided extends VoidError {}

/** It may be voided or not, or is not possible now: the same call, with the same key, is safe to repeat. */
export class RepeatLater extends VoidError {}

/** Nothing was voided by this call, and repeating it unchanged does not help: correct the call or the settings. */
export class WrongCall extends VoidError {}

const PREFIX = "urn:void-service:problem:";
/** @type {Record<string, [typeof VoidError, string]>} */
const PROBLEMS = {
  "in-progress": [RepeatLater, "another request for this order is in flight: repeat the same request"],
  throttled: [RepeatLater, "too many requests, this one did nothing: repeat the same request"],
  "provider-credentials": [RepeatLater, "nothing was voided, the operators are notified: repeat the same later"],
  "not-sent": [RepeatLater, "nothing reached the provider: repeat the same request"],
  "outcome-unknown": [RepeatLater, "it may be voided or not: repeat the same request, which is safe"],
  "not-voidable": [NotVoided, "see the reason"],
  "too-many-attempts": [NotVoided, "all attempts are used up: ask the operators"],
  "invalid-request": [WrongCall, "correct everything listed"],
  unauthenticated: [WrongCall, "check the URL, the region, the credentials or the token, the role and the clock"],
  "not-found": [WrongCall, "there is no void of this order here: check the order and the URL"],
  "too-large": [WrongCall, "send a shorter text"],
  "unsupported-media-type": [WrongCall, "let nothing change the request's Content-Type"],
  "idempotency-mismatch": [WrongCall, "this key came with another body: one key is one decision"],
  "currency-mismatch": [WrongCall, "use the currency of the void on record"],
  "changed-meanwhile": [WrongCall, "the record has changed: read it again, then decide about what it shows"],
  "nothing-to-decide": [WrongCall, "the record leaves nothing to decide: read it again"],
  // The client's own.
  "not-settled-yet": [RepeatLater, "repeat the same request later, or read the void"],
  "nothing-sent": [RepeatLater, "nothing was sent: repeat the same request once the cause is gone"],
  "not-configured": [WrongCall, "nothing was sent: correct the cause"],
  "invalid-argument": [WrongCall, "nothing was sent: correct the argument"],
  "unknown-problem": [WrongCall, "check the URL and the version of this client"],
};
// What a gateway or a proxy may answer in words of its own.
/** @type {Record<number, string>} */
const BY_STATUS = { 401: "unauthenticated", 403: "unauthenticated", 413: "too-large", 429: "throttled" };
/** @type {Record<string, string>} */
const REASONS = {
  refused: "understand the provider's answer; to ask again is a new decision, with a new key",
  "already-captured": "the money was taken: decide about a refund, which is another operation",
  "order-not-found": "the provider knows no such order: check the order id; after that, ask with a new key",
  "not-executed": "the hold is still there: if the void is still wanted, ask with a new key",
};
const NEW_KEY = "it did not arrive: if the void is still wanted, ask with a new key";
const REVIEW = "the operators must look at it; repeat the same request later, or read the void";

/** @param {string} problem @param {string} detail @param {Facts} [facts] */
function failure(problem, detail, facts) {
  return new (PROBLEMS[problem]?.[0] ?? WrongCall)(problem, detail, facts);
}

/**
 * Arguments are checked when a call is made, before anything is signed or sent.
 * @param {unknown} right @param {string} wrong
 */
function check(right, wrong) {
  if (!right) throw failure("invalid-argument", wrong);
}

/** @param {unknown} value @param {RegExp} pattern */
function fits(value, pattern) {
  return typeof value === "string" && value.isWellFormed() && pattern.test(value);
}

/** @param {Answer} answer */
function notUnderstood(answer) {
  return failure("outcome-unknown", `HTTP ${answer.status}, not understood`, { answer });
}

/**
 * What an answer that is no success means: by the problem's type; without one of the service, by the status.
 * @param {Answer} answer
 */
function errorOf(answer) {
  const { document } = answer;
  const status = answer.status ?? 0;
  const otherwise = status >= 500 ? "outcome-unknown" : "unknown-problem";
  if (typeof document.type !== "string" || !document.type.startsWith(PREFIX)) {
    const said = document.message || document.Message || "not a problem document of the void service";
    return failure(BY_STATUS[status] ?? otherwise, `HTTP ${status}, ${said}`, { answer });
  }
  const name = document.type.slice(PREFIX.length);
  const record = document.void ?? null;
  /** @type {{ pointer: string, detail: string }[]} */
  const errors = document.errors ?? [];
  const texts = [document.detail, document.provider_code, document.provider_message];
  const said = [...texts, ...errors.map((each) => `${each.pointer} ${each.detail}`)].filter(Boolean);
  const advice = (name === "not-voidable" && REASONS[record?.reason]) || "";
  const detail = said.map((each) => String(each).replace(/\.+$/, "")).join("; ");
  return failure(Object.hasOwn(PROBLEMS, name) ? name : otherwise, detail, { advice, answer, document, record });
}

// ---- who calls, and one request --------------------------------------------------------------------------------------

/** @typedef {{ accessKeyId: string, secretAccessKey: string, sessionToken?: string }} Credentials */
/** @typedef {{ method: string, url: string, body: string, headers: Record<string, string> }} Request */

class Signature {
  #signer;

  /** @param {string} region @param {Credentials | (() => Promise<Credentials>)} credentials */
  constructor(region, credentials) {
    this.#signer = new SignatureV4({ service: "execute-api", region, sha256: Sha256, credentials });
  }

  /** @param {Transport} _ @param {Request} request */
  async headers(_, { method, url, body, headers }) {
    const { protocol, hostname, port, host, pathname, searchParams } = new URL(url);
    const where = { protocol, hostname, ...(port && { port: Number(port) }), path: pathname };
    const query = Object.fromEntries(searchParams);
    try {
      return (await this.#signer.sign({ method, ...where, query, body, headers: { ...headers, host } })).headers;
    } catch (cause) {
      throw failure("not-configured", `no AWS credentials (${/** @type {any} */ (cause)?.message})`, { cause });
    }
  }
}

/**
 * Tokens of an OpenID Connect issuer for a client: one is fetched, and used until shortly before its end.
 *
 * Share one between clients: whoever needs a token while one is fetched waits for that one.
 */
export class ClientCredentials {
  #url;
  #basic;
  #form;
  #lasts = 0;
  #fetched = 0;
  /** @type {Promise<string> | null} */
  #bearer = null;

  /** @param {string} tokenUrl @param {string} clientId @param {string} clientSecret @param {string} [scope] */
  constructor(tokenUrl, clientId, clientSecret, scope = "") {
    const basic = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
    this.#basic = `Basic ${Buffer.from(basic).toString("base64")}`;
    this.#url = tokenUrl;
    this.#form = new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) }).toString();
  }

  /** @param {Transport} transport @param {Request} request @returns {Promise<Record<string, string>>} */
  async headers(transport, { headers }) {
    const age = (Date.now() - this.#fetched) / 1000; // below 0 is old
    if (!this.#bearer || !(age >= 0 && age < this.#lasts)) {
      this.#fetched = Date.now();
      this.#lasts = Infinity;
      const fetching = (this.#bearer = this.#fetch(transport));
      fetching.catch(() => {
        if (this.#bearer === fetching) this.#bearer = null;
      });
    }
    return { ...headers, authorization: await this.#bearer };
  }

  /**
   * A token was refused: fetch another, unless somebody has done so meanwhile.
   * @param {Record<string, string>} headers
   */
  async renew({ authorization }) {
    if (this.#bearer && authorization === (await this.#bearer.catch(() => ""))) this.#bearer = null;
  }

  /** @param {Transport} transport */
  async #fetch(transport) {
    const headers = { "content-type": "application/x-www-form-urlencoded", authorization: this.#basic };
    /** @type {Answer} */
    let answer;
    try {
      answer = await transport.exchange({ method: "POST", url: this.#url, body: this.#form, headers });
    } catch (error) { // whatever became of that request, to the API nothing was sent
      const { problem, detail } = /** @type {VoidError} */ (error);
      const name = problem === "not-configured" ? problem : "nothing-sent";
      throw failure(name, `no token: ${detail}`, { cause: error });
    }
    const { access_token: token, expires_in: lasts = 300, error = "" } = answer.document;
    const status = answer.status ?? 0;
    if (status !== 200 || typeof token !== "string" || typeof lasts !== "number") {
      const again = status === 200 || status === 429 || status >= 500;
      throw failure(again ? "nothing-sent" : "not-configured", `no token: HTTP ${status} ${error}`, { answer });
    }
    this.#lasts = lasts - Math.min(60, lasts / 2);
    return `Bearer ${token}`;
  }
}

/** @typedef {(entry: { event: string, [name: string]: unknown }) => void} Log */

class Transport {
  /**
   * @param {Signature | ClientCredentials} auth @param {number} timeout @param {http.Agent | undefined} agent
   * @param {Log} log
   */
  constructor(auth, timeout, agent, log) {
    this.auth = auth;
    this.timeout = timeout;
    this.agent = agent;
    this.log = log;
    // Own ones, so that no variable and no flag puts a proxy between.
    this.agents = { "http:": new http.Agent({ keepAlive: true }), "https:": new https.Agent({ keepAlive: true }) };
  }

  /**
   * Authorize and send. Resolves to a 2xx, and rejects for everything else.
   * @param {string} method @param {string} url @param {string} [body] @param {Record<string, string>} [more]
   * @param {AbortSignal} [signal]
   */
  async call(method, url, body = "", more = {}, signal) {
    const request = { method, url, body, headers: { ...more, "user-agent": `void-client-node/${VERSION}` } };
    let headers = await this.auth.headers(this, request);
    let answer = await this.exchange({ ...request, headers }, signal);
    if (answer.status === 401 && this.auth instanceof ClientCredentials) {
      await this.auth.renew(headers);
      headers = await this.auth.headers(this, request);
      answer = await this.exchange({ ...request, headers }, signal);
    }
    if (answer.status !== null && answer.status >= 200 && answer.status < 300) return answer;
    throw errorOf(answer);
  }

  /** @param {Request} request @param {AbortSignal} [signal] @returns {Promise<Answer>} */
  async exchange({ method, url, body, headers }, signal) {
    const began = performance.now();
    const sent = { left: false };
    try {
      const answer = await this.#send({ method, url, body, headers }, sent, signal);
      const seconds = (performance.now() - began) / 1000;
      this.log({ event: "answer", method, url, status: answer.status, requestId: answer.requestId, seconds });
      return answer;
    } catch (cause) {
      const { code, name, message } = /** @type {any} */ (cause);
      const why = signal?.aborted ? "aborted" : `${code ?? name}: ${message}`;
      const wrong = !sent.left && /CERT|ISSUER|VERIFY|HOSTNAME_MISMATCH/.test(code);
      const problem = wrong ? "not-configured" : sent.left ? "outcome-unknown" : "nothing-sent";
      const error = failure(problem, `no answer (${why})`, { cause: signal?.aborted ? signal.reason : cause });
      this.log({ event: "answer", method, url, problem, error });
      throw error;
    }
  }

  /** @param {Request} request @param {{ left: boolean }} sent @param {AbortSignal} [signal] @returns {Promise<Answer>} */
  async #send({ method, url, body, headers }, sent, signal) {
    const secure = url.startsWith("https:");
    const agent = this.agent ?? this.agents[secure ? "https:" : "http:"];
    const ends = [AbortSignal.timeout(1000 * this.timeout), ...(signal ? [signal] : [])];
    const length = body ? { "content-length": String(Buffer.byteLength(body)) } : {};
    const options = { method, headers: { ...headers, ...length }, agent, signal: AbortSignal.any(ends) };
    /** @type {http.IncomingMessage} */
    const got = await new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(url, options, resolve).on("error", reject);
      request.once("socket", (socket) => {
        // Nothing has left before it is connected. A socket that somebody else has connected may have sent all.
        if (request.reusedSocket || !socket.connecting) sent.left = true;
        else socket.once(secure ? "secureConnect" : "connect", () => (sent.left = true));
      });
      request.end(body);
    });
    const chunks = [];
    for await (const chunk of got) chunks.push(chunk);
    const header = (/** @type {string} */ name) => /** @type {string | undefined} */ (got.headers[name]) ?? "";
    const told = header("retry-after");
    return {
      status: got.statusCode ?? 0,
      document: parse(Buffer.concat(chunks).toString()),
      location: header("location"),
      retryAfter: /^[0-9]{1,9}$/.test(told) ? Number(told) : null,
      requestId: header("x-amz-apigw-id") || header("x-amzn-requestid") || null,
      hint: header("x-local-hint") || null,
    };
  }
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

/** @returns {Promise<Credentials>} */
async function fromEnvironment() {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = process.env;
  if (!accessKeyId || !secretAccessKey) throw new Error("none in the environment");
  return { accessKeyId, secretAccessKey, ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }) };
}

// ---- the client ------------------------------------------------------------------------------------------------------

/**
 * @typedef {object} Options
 * @property {string | undefined} [region] to sign with SigV4; or `tokens`
 * @property {Credentials | (() => Promise<Credentials>) | undefined} [credentials] of the environment if it is left out;
 *   for profiles and roles give a provider of the AWS SDK, such as fromNodeProviderChain()
 * @property {ClientCredentials | undefined} [tokens] for the routes below /oauth
 * @property {number | undefined} [timeout] of one request, in seconds: the API answers within 29
 * @property {http.Agent | undefined} [agent] for a proxy or a CA of your own; proxy variables are not read
 * @property {Log | undefined} [log] is given an entry for each answer and each pause
 */
/** @typedef {{ idempotencyKey: string, comment?: string | undefined, wait?: number | undefined, signal?: AbortSignal | undefined }} Wanted */

export class VoidClient {
  #url;
  #tokens;
  #transport;

  /** @param {string} url the API with its stage @param {Options} [options] */
  constructor(url, { region, credentials = fromEnvironment, tokens, timeout = 35, agent, log = () => {} } = {}) {
    check(fits(url, /^https?:\/\/[^/?#\s]+(\/[^?#\s]*)?$/), `not the URL of an API: ${url}`);
    check(tokens ? region === undefined || region === null : fits(region, /^[a-z0-9-]+$/), "either a region or tokens are needed");
    check(typeof timeout === "number" && timeout > 0, "the timeout is a number of seconds above 0");
    this.#url = url.replace(/\/+$/, "");
    this.#tokens = tokens;
    this.#transport = new Transport(tokens ?? new Signature(region ?? "", credentials), timeout, agent, log);
  }

  /**
   * Release the hold of an order, and wait up to `wait` seconds for the outcome. Resolves only to a voided record.
   *
   * Keep one key with each decision to void, and give it whenever you ask again. With `wait: 0` one request is sent.
   * @param {string} orderId
   * @param {string} orderCurrency
   * @param {Wanted} wanted
   * @returns {Promise<VoidRecord>}
   */
  async void(orderId, orderCurrency, wanted) {
    const { idempotencyKey, comment, wait = 120, signal } = wanted ?? {};
    const place = this.#place(orderId);
    check(fits(orderCurrency, /^.+$/s), "the currency is a text");
    check(fits(idempotencyKey, /^[ -~]{1,255}$/), "an idempotency key has 1 to 255 printable ASCII characters");
    check(comment === undefined || comment === null || fits(comment, /^.*$/s), "the comment is a text");
    check(typeof wait === "number" && wait >= 0, "the seconds to wait are a number, 0 or more");
    const body = JSON.stringify({ order_id: orderId, order_currency: orderCurrency, comment: comment ?? undefined });
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey };
    const voiding = new Voiding(this.#url, orderId, place, wait, signal);
    for (;;) {
      try {
        const { location, refresh } = voiding.next();
        const answer = location // once it is accepted, the intent is durable: it is enough to read
          ? await this.#transport.call("GET", location + refresh, "", {}, signal)
          : await this.#transport.call("POST", `${this.#url}/voids`, body, headers, signal);
        const record = voiding.take(answer);
        if (record) return record;
      } catch (error) {
        if (!(error instanceof VoidError)) throw error;
        const seconds = voiding.pause(error);
        this.#transport.log({ event: "wait", problem: error.problem, label: error.label, seconds, error });
        await sleep(1000 * seconds, undefined, { signal }).catch((cause) => {
          throw voiding.last(failure("nothing-sent", "aborted", { cause: signal?.reason ?? cause }));
        });
      }
    }
  }

  /**
   * The record of an order's void; `refresh` has the provider queried first. Sent once.
   * @param {string} orderId
   * @param {{ refresh?: boolean | undefined, signal?: AbortSignal | undefined }} [how]
   * @returns {Promise<VoidWithWebhooks>}
   */
  async read(orderId, { refresh = false, signal } = {}) {
    check(typeof refresh === "boolean", "refresh is true or false");
    const url = this.#place(orderId) + (refresh ? "?refresh=true" : "");
    return /** @type {VoidWithWebhooks} */ (recordOf(await this.#transport.call("GET", url, "", {}, signal), orderId));
  }

  /**
   * An operator's decision about what the read with this `revision` showed. Sent once, and safe to repeat.
   * @param {string} orderId
   * @param {Ruling} decision
   * @param {{ revision: string, note: string, signal?: AbortSignal | undefined }} why
   * @returns {Promise<VoidWithWebhooks>}
   */
  async decide(orderId, decision, why) {
    const { revision, note, signal } = why ?? {};
    const url = `${this.#place(orderId)}/decisions`;
    check(!this.#tokens, "decisions are signed: no token opens them");
    check(["reviewed", "not-voided", "voided"].includes(decision), "a decision is reviewed, not-voided or voided");
    check(fits(revision, /^[0-9a-f]{16}$/), "a revision has 16 hex digits");
    check(fits(note, /^.{1,500}$/su), "a note has 1 to 500 characters");
    const body = JSON.stringify({ decision, revision, note });
    const answer = await this.#transport.call("POST", url, body, { "content-type": "application/json" }, signal);
    return /** @type {VoidWithWebhooks} */ (recordOf(answer, orderId));
  }

  /**
   * The voids that are open, that must be reviewed, or that were settled on a `day` (UTC); page by page.
   * @param {"unsettled" | "review" | "settled"} [state]
   * @param {{ day?: string | undefined, signal?: AbortSignal | undefined }} [which]
   * @returns {AsyncGenerator<VoidRecord, void>}
   */
  voids(state = "unsettled", { day, signal } = {}) {
    check(["unsettled", "review", "settled"].includes(state), "a list is unsettled, review or settled");
    const dated = state === "settled" ? fits(day, /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/) : (day ?? null) === null;
    check(dated, "the settled voids, and only those, are listed by a day like 2026-11-30");
    return this.#pages(new URLSearchParams({ limit: "100", state, ...(day && { day }) }), signal);
  }

  /** @param {URLSearchParams} query @param {AbortSignal} [signal] @returns {AsyncGenerator<VoidRecord, void>} */
  async *#pages(query, signal) {
    for (;;) {
      const answer = await this.#transport.call("GET", `${this.#url}/voids?${query}`, "", {}, signal);
      const { voids, cursor } = answer.document;
      if (!Array.isArray(voids)) throw notUnderstood(answer);
      yield* voids;
      if (!cursor) return;
      query.set("cursor", cursor);
    }
  }

  /** @param {string} orderId the URL of its void */
  #place(orderId) {
    // No order has such an id, and in a path they mean something else.
    check(fits(orderId, /^.+$/s) && ![".", ".."].includes(orderId), "no order has this id");
    return `${this.#url}/voids/${encodeURIComponent(orderId)}`;
  }
}

/** One call of `void`: what each answer or error means after all that was said before. */
class Voiding {
  #url;
  #orderId;
  #place;
  #deadline;
  #signal;
  #location = "";
  #refresh = "";
  #seconds = 0;
  #accepted = false;
  #maybe = false;
  /** @type {VoidRecord | null} */
  #record = null;

  /** @param {string} url @param {string} orderId @param {string} place @param {number} wait @param {AbortSignal} [signal] */
  constructor(url, orderId, place, wait, signal) {
    this.#url = url;
    this.#orderId = orderId;
    this.#place = place;
    this.#deadline = performance.now() + 1000 * wait;
    this.#signal = signal;
  }

  next() {
    const next = { location: this.#location, refresh: this.#refresh };
    this.#refresh = "";
    return next;
  }

  /**
   * The voided record; null if the next request is due at once; an open void is thrown.
   * @param {Answer} answer
   */
  take(answer) {
    const record = recordOf(answer, this.#orderId);
    this.#record = record;
    if (record.state === "voided") return record;
    if (record.state === "failed") {
      if (!this.#location) throw notUnderstood(answer); // a refusal is a problem document
      this.#location = ""; // what that means for this key, the service says when it is asked with this key
      return null;
    }
    if (!this.#location) {
      const base = `${this.#url}/voids`;
      const found = URL.canParse(answer.location ?? "", base) ? new URL(answer.location ?? "", base).href : "";
      const rest = found.startsWith(`${base}/`) ? found.slice(base.length + 1) : "";
      // A place outside of this API gets no authorized request.
      this.#location = /^[^/?#]+$/.test(rest) ? found : this.#place;
      this.#refresh = "?refresh=true";
      this.#accepted = true;
    }
    const advice = record.resend_allowed ? NEW_KEY : record.review ? REVIEW : "";
    throw failure("not-settled-yet", "the outcome is not known yet", { advice, answer, record });
  }

  /**
   * Seconds until the next request; throws what the caller must know when there is none.
   * @param {VoidError} error
   */
  pause(error) {
    const left = (this.#deadline - performance.now()) / 1000;
    const first = error.problem === "provider-credentials" ? 60 : 5; // the operators act first
    const told = error.retryAfter;
    this.#seconds = told === null ? Math.min(Math.max(this.#seconds * 2, first), 60) : Math.max(told, 1);
    // Reading earlier than the service said does no harm; asking again may.
    const pause = this.#location || told === null ? Math.min(this.#seconds, left) : this.#seconds;
    this.#maybe ||= error.problem === "outcome-unknown";
    const end = !(error instanceof RepeatLater) || error.record?.resend_allowed || this.#signal?.aborted;
    if (end || left < 0.1 || pause > left) throw this.last(error);
    return pause;
  }

  /**
   * Once a POST was accepted, or may have been, whatever follows is "repeat later", with the last record.
   * @param {VoidError} cause
   */
  last(cause) {
    const name = this.#accepted ? "not-settled-yet" : "outcome-unknown";
    const known = cause instanceof NotVoided || (cause instanceof RepeatLater && cause.record);
    if (known || name === cause.problem || !(this.#accepted || this.#maybe)) return cause;
    const detail = `it was accepted, or may have been; then ${cause.label}: ${cause.detail}`;
    const { answer, document } = cause;
    return failure(name, detail, { answer, document, record: cause.record ?? this.#record, cause });
  }
}

/** @param {Answer} answer @param {string} orderId @returns {VoidRecord} */
function recordOf(answer, orderId) {
  // A cut answer, or another order's record from a cache in between, is not this void's outcome.
  if (answer.document.order_id !== orderId || typeof answer.document.state !== "string") throw notUnderstood(answer);
  return answer.document;
}

// ---- events ----------------------------------------------------------------------------------------------------------

/**
 * What an event tells, of the whole or of its `detail`. TypeError if it is no `void.settled`.
 * @param {any} event as text or parsed
 * @returns {Settled}
 */
export function settled(event) {
  try {
    const document = typeof event === "string" ? JSON.parse(event) : event;
    const { id, order_id, state, reason, attempt, version, settled_at, review, corrected, order_currency, by } =
      document.detail ?? document;
    const numbers = { attempt: Number(attempt), version: Number(version) };
    const told = { id, state, settled_at, review, corrected, by };
    const whole = Object.values(told).every((each) => each !== undefined) && /^[0-9]+ [0-9]+$/.test(`${attempt} ${version}`);
    if ((document["detail-type"] ?? "void.settled") !== "void.settled" || !whole) throw new TypeError("another event");
    const absent = { reason: reason || null, order_currency: order_currency || null };
    return { ...told, ...numbers, ...absent, order_id: decodeURIComponent(order_id) };
  } catch (cause) {
    throw new TypeError(`not an event void.settled (${/** @type {any} */ (cause)?.message})`, { cause });
  }
}

/**
 * What is known of each order after these events, in whatever order and however often they came.
 * @param {Iterable<any>} events
 * @returns {Map<string, Settled>}
 */
export function newest(events) {
  const byVersion = [...events].map(settled).sort((one, other) => one.version - other.version);
  return new Map(byVersion.map((outcome) => [outcome.order_id, outcome]));
}

// ---- the program -----------------------------------------------------------------------------------------------------

/** Void one order. Exit codes: 0 voided, 1 not voided for good, 2 run the same again later, 3 a wrong call. */
async function main() {
  const { env } = process;
  const key = env.IDEMPOTENCY_KEY || randomUUID();
  if (!env.IDEMPOTENCY_KEY) console.error(`IDEMPOTENCY_KEY=${key}`); // first, so that it is known whatever happens
  const [orderId, currency, comment, ...more] = process.argv.slice(2);
  try {
    check(orderId && currency && !more.length, "ORDER_ID and CURRENCY are needed, and one COMMENT may follow");
    const tokens = env.VOID_TOKEN_URL
      ? new ClientCredentials(env.VOID_TOKEN_URL, env.VOID_CLIENT_ID ?? "", env.VOID_CLIENT_SECRET ?? "", env.VOID_TOKEN_SCOPE)
      : undefined;
    const client = new VoidClient(env.VOID_SERVICE_URL ?? "", {
      region: tokens ? undefined : (env.AWS_REGION ?? ""),
      tokens,
      log: ({ event, label, seconds }) => {
        if (event === "wait") console.error(`${label}: again in ${Math.round(Number(seconds))} s`);
      },
    });
    const given = env.VOID_WAIT_SECONDS ?? "120";
    const wait = /^[0-9]+$/.test(given) ? Number(given) : -1;
    console.log(JSON.stringify(await client.void(orderId ?? "", currency ?? "", { idempotencyKey: key, comment, wait })));
    return 0;
  } catch (error) {
    if (error instanceof VoidError) {
      console.error(error.message);
      return error instanceof NotVoided ? 1 : error instanceof RepeatLater ? 2 : 3;
    }
    // A crash would end with 1, which says "not voided".
    console.error(`${/** @type {any} */ (error)?.name}: it may be voided or not: run the same again, which is safe`);
    return 2;
  }
}

// Also through the link that npm makes.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) process.exitCode = await main();
