// Calls the API. In the local run as a merchant does, signed with SigV4 by WebCrypto, and the sandbox through the page's own
// address; over a deployed API unsigned: the command that serves this page signs with the operator's role.
// Whatever goes wrong on the way is an Unanswered whose message is a sentence for the page.

const away = () =>
  config && !config.access_key
    ? "The console's command does not answer. Is `python -m ops console` still running?"
    : "The local service does not answer. Is `make run` still running?";

const encoder = new TextEncoder();
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const sha256 = async (text) => hex(await crypto.subtle.digest("SHA-256", encoder.encode(text)));

/** No answer, or none that can be used. */
export class Unanswered extends Error {}

/** Answers are read whole here: a connection may also break in the middle of one. */
async function send(path, options) {
  const began = performance.now();
  try {
    const answer = await fetch(path, { cache: "no-store", ...options });
    const text = await answer.text();
    return { status: answer.status, ok: answer.ok, headers: answer.headers, text, json: parse(text), ms: Math.round(performance.now() - began) };
  } catch {
    throw new Unanswered(away());
  }
}

/** Numbers that JavaScript would write with other digits stay as the text that was sent. */
export function parse(text) {
  try {
    return JSON.parse(text, (_, value, context) =>
      typeof value === "number" && context?.source && String(value) !== context.source ? context.source : value,
    );
  } catch {
    return undefined;
  }
}

async function configuration() {
  try {
    const answer = await send("/console/config.json");
    if (answer.ok) return answer.json;
    throw new Unanswered("This page is for the address that was printed, by `make run` or `python -m ops console`.");
  } catch (problem) {
    // Nothing else of the page runs without it.
    const place = document.querySelector("#trouble");
    if (place) [place.textContent, place.hidden] = [`${problem.message} Then load this page again.`, false];
    throw problem;
  }
}

export let config = null; // until it is read
config = await configuration();

/** Over a deployed API there is no sandbox, and nothing is signed here. */
export const isLocal = Boolean(config.access_key);

async function hmac(key, text) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, encoder.encode(text));
}

/** RFC 3986: encodeURIComponent leaves five characters alone that AWS encodes. */
export const encode = (text) =>
  encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** The headers of a signed request. `path` is as sent: encoded once, and once more for the signature. */
export async function sign(method, path, body, headers = {}, [access, secret] = [config.access_key, config.secret_key]) {
  const now = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const [route, query = ""] = path.split("?");
  const signed = { host: location.host, "x-amz-date": now };
  for (const [name, value] of Object.entries(headers)) signed[name.toLowerCase()] = value.trim().replace(/\s+/g, " ");
  const names = Object.keys(signed).sort();
  const canonical = [
    method,
    route.split("/").map(encode).join("/"),
    query.split("&").filter(Boolean).sort().join("&"),
    ...names.map((name) => `${name}:${signed[name]}`),
    "",
    names.join(";"),
    await sha256(body ?? ""),
  ].join("\n");
  const scope = `${now.slice(0, 8)}/${config.region}/execute-api/aws4_request`;
  let key = encoder.encode(`AWS4${secret}`);
  for (const part of scope.split("/")) key = await hmac(key, part);
  const signature = hex(await hmac(key, ["AWS4-HMAC-SHA256", now, scope, await sha256(canonical)].join("\n")));
  return {
    ...headers,
    "X-Amz-Date": now,
    Authorization: `AWS4-HMAC-SHA256 Credential=${access}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
  };
}

async function call(method, path, { body, headers = {}, who } = {}) {
  return send(path, { method, body, headers: isLocal ? await sign(method, path, body, headers, who) : headers });
}

/** What is wrong with an order id, or null. The rest of the contract's rule is the API's to tell. */
export function wrongWith(id) {
  if (id === "") return "An order id is missing.";
  if ([".", "..", "0"].includes(id)) return `“${id}” is not an order id: “.”, “..” and “0” mean something else in an address or to Financial Line.`;
  const length = [...id].length;
  return length > 32 ? `This is not an order id: it has ${length} characters, and an order id has at most 32.` : null;
}

export const readVoid = (id, refresh = false) => call("GET", `/v1/voids/${encode(id)}${refresh ? "?refresh=true" : ""}`);

export function listVoids(state, limit, cursor, day) {
  const query = { cursor, day: state === "settled" ? day : null, limit, state }; // sorted, as it is signed
  const parts = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return call("GET", `/v1/voids?${parts.map(([name, value]) => `${name}=${encode(String(value))}`).join("&")}`);
}

/** All voids of one state, up to so many pages: [{records, isWhole}, null] or [null, the answer that was none]. */
export async function listAll(state, most, day, keep = () => true) {
  let [records, cursor] = [[], null];
  for (let page = 0; page < most; page += 1) {
    const answer = await listVoids(state, 100, cursor, day);
    if (!answer.ok) return [null, answer];
    records = records.concat(answer.json.voids.filter(keep));
    cursor = answer.json.cursor;
    if (cursor === null) break;
  }
  return [{ records, isWhole: cursor === null }, null];
}

/** An operator's decision about the record of this revision. */
export function decideVoid(id, decision, revision, note) {
  const body = JSON.stringify({ decision, revision, note });
  return call("POST", `/v1/voids/${encode(id)}/decisions`, { body, headers: { "Content-Type": "application/json" }, who: config.operator });
}

export function submitVoid(document_, key) {
  const headers = { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) };
  return call("POST", "/v1/voids", { body: JSON.stringify(document_), headers });
}

/** Why a read has no answer that can be shown. What a problem document says of a lost answer is about voids, not reads. */
export function explain(answer) {
  const problem = answer.json ?? {};
  const told = answer.status < 500 || answer.status === 503;
  const violations = (problem.errors ?? []).map((one) => `${one.pointer.replace(/^\//, "")} ${one.detail}`);
  return [`The API answered ${answer.status}`, ...(told ? [problem.detail, ...violations] : [])]
    .filter(Boolean)
    .map((text) => text.replace(/\.*$/, "."))
    .join(" ");
}

/** A control call of the sandbox: sandbox("PUT", ["faults", id], {…}). Throws what the sandbox says is wrong. */
export async function sandbox(method, segments, body) {
  const path = `/sandbox-proxy/sandbox/${segments.map(encode).join("/")}`;
  const text = typeof body === "string" ? body : body && JSON.stringify(body);
  const answer = await send(path, { method, body: text, headers: { "Content-Type": "application/json" } });
  if (!answer.ok) throw new Unanswered(`The sandbox says: ${answer.json?.error ?? `status ${answer.status}`}`);
  return answer.json;
}
