// Calls the API as a merchant does, signed with SigV4 by WebCrypto, and the sandbox through the page's own address.

const encoder = new TextEncoder();
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const sha256 = async (text) => hex(await crypto.subtle.digest("SHA-256", encoder.encode(text)));

async function hmac(key, text) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, encoder.encode(text));
}

export const config = await fetch("/console/config.json").then((answer) => answer.json());

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

async function read(answer, began) {
  const text = await answer.text();
  return { status: answer.status, ok: answer.ok, headers: answer.headers, text, json: parse(text), ms: Math.round(performance.now() - began) };
}

export async function call(method, path, { body, headers = {}, signed = true } = {}) {
  const began = performance.now();
  const all = signed ? await sign(method, path, body, headers) : headers;
  return read(await fetch(path, { method, body, headers: all, cache: "no-store" }), began);
}

export const readVoid = (id, refresh = false) => call("GET", `/v1/voids/${encode(id)}${refresh ? "?refresh=true" : ""}`);

export const listVoids = (state) => call("GET", `/v1/voids?limit=100&state=${state}`);

export function submitVoid(document_, key) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  return call("POST", "/v1/voids", { body: JSON.stringify(document_), headers });
}

/** A control call of the sandbox: sandbox("PUT", ["faults", id], {…}). Throws what the sandbox says is wrong. */
export async function sandbox(method, segments, body) {
  const began = performance.now();
  const path = `/sandbox-proxy/sandbox/${segments.map(encode).join("/")}`;
  const text = typeof body === "string" ? body : body && JSON.stringify(body);
  const answer = await read(await fetch(path, { method, body: text, headers: { "Content-Type": "application/json" } }), began);
  if (!answer.ok) throw new Error(answer.json?.error ?? `the sandbox answered ${answer.status}`);
  return answer.json;
}
