// Calls the API as a merchant does, signed with SigV4 by WebCrypto, and the sandbox through the page's own address.
// Whatever goes wrong on the way is an Unanswered whose message is a sentence for the page.

const AWAY = "The local service does not answer. Is `make run` still running?";

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
    throw new Unanswered(AWAY);
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
    throw new Unanswered("This page is for the address that `make run` prints.");
  } catch (problem) {
    // Nothing else of the page runs without it.
    const place = document.querySelector("#trouble");
    if (place) [place.textContent, place.hidden] = [`${problem.message} Then load this page again.`, false];
    throw problem;
  }
}

export const config = await configuration();

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
export async function sign(method, path, body, headers = {}) {
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
  let key = encoder.encode(`AWS4${config.secret_key}`);
  for (const part of scope.split("/")) key = await hmac(key, part);
  const signature = hex(await hmac(key, ["AWS4-HMAC-SHA256", now, scope, await sha256(canonical)].join("\n")));
  return {
    ...headers,
    "X-Amz-Date": now,
    Authorization: `AWS4-HMAC-SHA256 Credential=${config.access_key}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
  };
}

async function call(method, path, { body, headers = {} } = {}) {
  return send(path, { method, body, headers: await sign(method, path, body, headers) });
}

/** What is wrong with an order id, or null. The rest of the contract's rule is the API's to tell. */
export function wrongWith(id) {
  if (id === "") return "An order id is missing.";
  if ([".", "..", "0"].includes(id)) return `“${id}” is not an order id: “.”, “..” and “0” mean something else in an address or to Financial Line.`;
  const length = [...id].length;
  return length > 32 ? `This is not an order id: it has ${length} characters, and an order id has at most 32.` : null;
}

export const readVoid = (id, refresh = false) => call("GET", `/v1/voids/${encode(id)}${refresh ? "?refresh=true" : ""}`);

export function listVoids(state, limit, cursor) {
  const next = cursor === null ? "" : `cursor=${encode(cursor)}&`;
  return call("GET", `/v1/voids?${next}limit=${limit}&state=${state}`);
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
