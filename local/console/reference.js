// Renders docs/openapi.json as a page, with each example ready to be sent to the local service.
// Knows what that document uses: local references, allOf, examples, JSON and form bodies.

import { call, config, encode, sandbox } from "./api.js";
import { $, copyButton, h, replace } from "./dom.js";

const api = await fetch("/console/openapi.json").then((answer) => answer.json());
const pretty = (value) => JSON.stringify(value, null, 2);
const nameOf = (reference) => reference.split("/").at(-1);

function resolve(value) {
  let found = value;
  while (found?.$ref) found = found.$ref.slice(2).split("/").reduce((node, part) => node[part.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  return found;
}

// ---- schemas --------------------------------------------------------------------------------------------------

const merged = (schema) => {
  const { allOf, ...rest } = resolve(schema);
  if (!allOf) return rest;
  const parts = allOf.map(merged);
  const properties = {};
  for (const part of parts) for (const [name, value] of Object.entries(part.properties ?? {})) properties[name] = { ...resolve(properties[name] ?? {}), ...resolve(value) };
  return { ...Object.assign({}, ...parts), ...rest, properties, required: parts.flatMap((part) => part.required ?? []) };
};

function typeOf(schema) {
  const type = schema.type === "array" ? `array of ${typeOf(merged(schema.items ?? {}))}` : schema.type ?? "any";
  return `${type}${schema.format ? ` (${schema.format})` : ""}${schema.nullable ? " or null" : ""}`;
}

function rules(schema) {
  const found = [];
  if (schema.enum) found.push(`one of ${schema.enum.filter((value) => value !== null).join(", ")}`);
  if (schema.minLength !== undefined || schema.maxLength !== undefined) found.push(`${schema.minLength ?? 0}–${schema.maxLength ?? "…"} characters`);
  if (schema.minimum !== undefined) found.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) found.push(`to ${schema.maximum}`);
  if (schema.maxItems !== undefined) found.push(`at most ${schema.maxItems}`);
  if (schema.pattern) found.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined) found.push(`default ${schema.default}`);
  return found.join("; ");
}

function fields(schema, depth = 0) {
  const object = merged(schema);
  const list = object.type === "array" ? merged(object.items ?? {}) : object;
  if (!list.properties) return null;
  return h("dl", null, Object.entries(list.properties).map(([name, value]) => {
    const property = merged(value);
    const inner = depth < 3 && (property.properties || property.type === "array") ? fields(property, depth + 1) : null;
    return h("div", null,
      h("dt", null, h("code", null, name), (list.required ?? []).includes(name) ? "" : h("span.quiet", null, " optional")),
      h("dd", null, typeOf(property), rules(property) && h("span.quiet", null, ` · ${rules(property)}`), property.description && h("div.quiet", null, property.description),
        inner && h("details", null, h("summary", null, "fields"), h("div.nested", null, inner))));
  }));
}

function examples(content) {
  const all = { ...(content.examples ?? {}) };
  if (content.example !== undefined) all.example = { value: content.example };
  return Object.entries(all).map(([name, example]) => [example.summary ?? name, resolve(example).value]);
}

// ---- one operation --------------------------------------------------------------------------------------------

function operation(path, method, spec) {
  const parameters = (spec.parameters ?? []).map(resolve);
  const [type, content] = Object.entries(resolve(spec.requestBody ?? {})?.content ?? {})[0] ?? [];
  const signed = (spec.security ?? []).length > 0;
  return h("section.operation", { id: spec.operationId, "aria-labelledby": `${spec.operationId}-title` },
    h("h2", { id: `${spec.operationId}-title` }, spec.summary ?? spec.operationId),
    h("p", null, h(`span.method.${method}`, null, method.toUpperCase()), h("span.path", null, `/v1${path}`)),
    spec.description && h("p", null, spec.description),
    h("p.quiet", null, signed ? "Signed with AWS Signature Version 4, service execute-api." : "No AWS signature."),
    parameters.length > 0 && [h("h3", null, "Parameters"), h("dl", null, parameters.map((item) =>
      h("div", null, h("dt", null, h("code", null, item.name), h("span.quiet", null, ` ${item.in}${item.required ? "" : ", optional"}`)),
        h("dd", null, typeOf(merged(item.schema)), rules(merged(item.schema)) && h("span.quiet", null, ` · ${rules(merged(item.schema))}`), item.description && h("div.quiet", null, item.description)))))],
    content && [h("h3", null, "Body ", h("span.quiet", null, type)), fields(content.schema)],
    h("h3", null, "Answers"),
    Object.entries(spec.responses).map(([status, value]) => response(status, resolve(value))),
    h("h3", null, "Send it to the local service"),
    tryIt(path, method, spec.operationId, parameters, type, content, signed),
  );
}

function response(status, spec) {
  return h("details.response", null,
    h("summary", null, h(`span.badge.${status < 400 ? "ok" : "bad"}`, null, status), " ", spec.description),
    spec.headers && h("dl", null, Object.entries(spec.headers).map(([name, value]) => h("div", null, h("dt", null, h("code", null, name)), h("dd", null, resolve(value).description ?? "")))),
    Object.entries(spec.content ?? {}).map(([type, content]) => [
      h("p.quiet", null, type, content.schema?.$ref ? ` · ${nameOf(content.schema.$ref)}` : ""),
      examples(content).map(([name, value]) => [h("p", null, "Example: ", name), h("pre", { tabindex: 0 }, typeof value === "string" ? value : pretty(value))]),
      h("details", null, h("summary", null, "Fields"), fields(content.schema ?? {})),
    ]),
  );
}

// ---- sending --------------------------------------------------------------------------------------------------

function tryIt(path, method, id, parameters, type, content, signed) {
  const inputs = parameters.map((item) => {
    const schema = merged(item.schema);
    const example = item.in === "path" ? "123" : "";
    const input = schema.enum
      ? h("select", { name: item.name }, h("option", { value: "" }, "—"), schema.enum.map((value) => h("option", { value }, value)))
      : h("input", { name: item.name, value: example, required: item.required, autocomplete: "off", spellcheck: "false" });
    return { item, input };
  });
  const choices = content ? examples(content) : [];
  const isForm = type === "application/x-www-form-urlencoded";
  const text = (value) => (isForm ? new URLSearchParams(value).toString() : pretty(value));
  const body = content && h("textarea", { name: "body", rows: isForm ? 4 : 7, spellcheck: "false" });
  if (body && choices.length) body.value = text(choices[0][1]);
  const pick = choices.length > 1 && h("select", { change: (event) => (body.value = text(choices[event.target.selectedIndex][1])) }, choices.map(([name]) => h("option", null, name)));
  const result = h("div", { role: "status" });

  const request = () => {
    let target = `/v1${path}`;
    const query = [];
    const headers = type ? { "Content-Type": type } : {};
    for (const { item, input } of inputs) {
      if (item.in === "path") target = target.replace(`{${item.name}}`, encode(input.value));
      else if (input.value && item.in === "query") query.push(`${encode(item.name)}=${encode(input.value)}`);
      else if (input.value && item.in === "header") headers[item.name] = input.value;
    }
    return { target: target + (query.length ? `?${query.sort().join("&")}` : ""), headers, body: body ? body.value : undefined };
  };
  const form = h("form.try", { "aria-label": `Send ${id}` },
    h("div.fields", null, inputs.map(({ item, input }) => h("label", null, item.name, " ", input))),
    pick && h("label", null, "Example ", pick),
    body && h("label", null, "Body ", body),
    h("div.actions", null,
      h("button.primary", null, "Send"),
      id === "submitVoid" && h("button", { type: "button", click: () => hold(body, result) }, "Create the hold in the sandbox first"),
      isForm && h("button", { type: "button", click: () => signForm(body, result) }, "Sign an operation with the sandbox's secret")),
    h("details", null, h("summary", null, "As curl"), h("pre", { tabindex: 0 })),
    result,
  );
  const curl = form.querySelector("pre");
  const tell = () => (curl.textContent = asCurl(method, request(), signed));
  form.addEventListener("input", tell);
  form.addEventListener("change", tell);
  tell();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { target, ...rest } = request();
    result.textContent = "Waiting for the answer…";
    try {
      show(result, await call(method.toUpperCase(), target, { ...rest, signed }));
    } catch (problem) {
      result.textContent = `No answer: ${problem.message}`;
    }
  });
  return form;
}

function show(result, answer) {
  const headers = [...answer.headers].filter(([name]) => !["date", "connection", "content-length"].includes(name));
  replace(result,
    h("p", null, h(`span.badge.${answer.ok ? "ok" : "bad"}`, null, String(answer.status)), ` after ${answer.ms} ms `, answer.json?.order_id && h("a", { href: `/#order=${encodeURIComponent(answer.json.order_id)}` }, "show in the console")),
    h("pre", { tabindex: 0, "aria-label": "Headers of the answer" }, headers.map(([name, value]) => `${name}: ${value}`).join("\n")),
    h("pre", { tabindex: 0, "aria-label": "Body of the answer" }, answer.json === undefined ? answer.text || "(empty)" : pretty(answer.json)),
  );
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl(method, { target, headers, body }, signed) {
  const parts = ["curl -sS -i"];
  if (signed) parts.push(`--aws-sigv4 'aws:amz:${config.region}:execute-api' --user ${quoted(`${config.access_key}:${config.secret_key}`)}`);
  parts.push(`-X ${method.toUpperCase()} ${quoted(location.origin + target)}`);
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`--data-raw ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

async function hold(body, result) {
  try {
    const { order_id, order_currency } = JSON.parse(body.value);
    await sandbox("POST", ["holds"], { order_id, amount: 100, currency: order_currency });
    result.textContent = `The sandbox holds 100 ${order_currency} for order ${order_id}.`;
  } catch (problem) {
    result.textContent = problem.message;
  }
}

async function signForm(body, result) {
  try {
    const data = { operation_id: crypto.randomUUID(), order_id: "123", method: "void", status: "failure", amount: 100, currency: "UAH" };
    const signed = await sandbox("POST", ["sign"], { data, secret: "current" });
    body.value = new URLSearchParams(signed).toString();
    body.dispatchEvent(new Event("input", { bubbles: true }));
    result.textContent = "Signed: a failure webhook of order 123, without this merchant's pos_id, so it goes to quarantine.";
  } catch (problem) {
    result.textContent = problem.message;
  }
}

// ---- the page -------------------------------------------------------------------------------------------------

const operations = Object.entries(api.paths).flatMap(([path, item]) =>
  Object.entries(item).filter(([, spec]) => spec.responses).map(([method, spec]) => [path, method, spec]));
replace($("contents"), operations.map(([path, method, spec]) =>
  h("li", null, h("a", { href: `#${spec.operationId}` }, h(`span.method.${method}`, null, method.toUpperCase()), spec.summary ?? path))));
replace($("main"),
  h("div.title", null, h("h1", null, `${api.info.title} API`), h("span.badge", null, `version ${api.info.version}`)),
  h("p", null, api.info.description ?? ""),
  h("p", null, "Local address ", h("code", null, `${location.origin}/v1`), copyButton(`${location.origin}/v1`, "address"),
    ", access key ", h("code", null, config.access_key), ", secret key ", h("code", null, config.secret_key), ", region ", h("code", null, config.region), "."),
  operations.map(([path, method, spec]) => operation(path, method, spec)),
);
if (location.hash.length > 1) $(location.hash.slice(1))?.scrollIntoView();
