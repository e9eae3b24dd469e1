// Shows docs/openapi.json in Swagger UI, whose requests go to the local service, signed as a merchant signs them.
// Everything that Swagger UI would set as HTML is replaced by nodes: the page's policy forbids HTML from text.

import { config, sandbox, sign } from "./api.js";
import { $ } from "./dom.js";

const SIGNED = "Signed with AWS Signature Version 4, service `execute-api`; this page signs with the local keys.";
const UNSIGNED = "No AWS signature: the form carries the provider's own.";

const spec = await fetch("/console/openapi.json").then((answer) => answer.json());
const unsigned = new Set();
prepare();

// ---- the document, as this page shows it ----------------------------------------------------------------------

function prepare() {
  spec.servers = [{ url: `${location.origin}/v1`, description: "make run" }];
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!operation.responses) continue;
      const signed = operation.security?.length > 0;
      if (!signed) unsigned.add(`${method.toUpperCase()} /v1${path}`);
      operation.description = [operation.description, signed ? SIGNED : UNSIGNED].filter(Boolean).join("\n\n");
      // There is nothing to type in: without this, each operation would show a lock and ask for a header's text.
      delete operation.security;
      // An example of what may be left out would be sent with every call.
      for (const one of operation.parameters ?? []) if (one.in === "query" && !one.required) delete one.example;
      fillForm(operation.requestBody?.content?.["application/x-www-form-urlencoded"]);
    }
  }
}

/** Swagger UI fills a form from its fields' examples, not from the body's. */
function fillForm(form) {
  const [example] = Object.values(form?.examples ?? {});
  if (!example) return;
  const schema = structuredClone(form.schema.$ref ? spec.components.schemas[form.schema.$ref.split("/").at(-1)] : form.schema);
  for (const [name, value] of Object.entries(example.value)) schema.properties[name].example = value;
  form.schema = schema;
}

// ---- what is sent ---------------------------------------------------------------------------------------------

/** Decisions are an operator's, everything else a merchant may call. */
const whoSigns = (path) => (path.endsWith("/decisions") ? config.operator : [config.access_key, config.secret_key]);

async function signed(request) {
  const { origin, pathname, search } = new URL(request.url, location.origin);
  if (origin !== location.origin || unsigned.has(`${request.method} ${pathname}`)) return request;
  request.headers = await sign(request.method, pathname + search, request.body, request.headers, whoSigns(pathname));
  return request;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** With curl's own signer, so that the command still works tomorrow. */
function asCurl(request) {
  const url = request.get("url");
  const method = request.get("method");
  const body = request.get("body");
  const parts = ["curl -sS -i"];
  if (!unsigned.has(`${method} ${new URL(url).pathname}`)) {
    parts.push(`--aws-sigv4 'aws:amz:${config.region}:execute-api' --user ${quoted(whoSigns(new URL(url).pathname).join(":"))}`);
  }
  parts.push(`-X ${method} ${quoted(url)}`);
  for (const [name, value] of request.get("headers")?.entries() ?? []) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (typeof body === "string") parts.push(`--data-raw ${quoted(body)}`);
  else if (body) parts.push(...[...body.entries()].map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`));
  return parts.join(" \\\n  ");
}

// ---- parts of Swagger UI that are ours ------------------------------------------------------------------------

/** Numbers keep the digits that were sent: 100.00 stays 100.00. */
function pretty(text) {
  try {
    const exact = (_, value, context) => (typeof value === "number" && JSON.rawJSON && context?.source ? JSON.rawJSON(context.source) : value);
    return JSON.stringify(JSON.parse(text, exact), null, 2);
  } catch {
    return text;
  }
}

function ours({ React }) {
  const h = React.createElement;
  const code = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", { key: index }, part) : part));
  const prose = (source) => source.split("\n\n").map((text, index) => h("p", { key: index, className: "prose" }, code(text)));
  return {
    components: {
      // A link inside of the button that opens an operation is for nobody: the button sets the address, too.
      DeepLink: ({ text }) => h("span", null, text),
      InfoContainer: () =>
        h("section", { className: "about", "aria-labelledby": "about" },
          h("h1", { id: "about" }, spec.info.title, " ", h("small", null, spec.info.version)),
          prose(spec.info.description),
          h("h2", null, "Operations"),
        ),
      Markdown: ({ source }) => (source ? h("div", { className: "markdown" }, prose(source)) : null),
      curl: ({ request }) => h("div", { className: "curl-command" }, h("h4", null, "Curl"), h("pre", { className: "curl microlight", tabIndex: 0 }, asCurl(request))),
      responseBody: ({ content }) => h("div", null, h("h5", null, "Response body"), h("pre", { className: "microlight", tabIndex: 0 }, typeof content === "string" && content ? pretty(content) : "(empty)")),
    },
  };
}

// ---- the page -------------------------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  spec,
  domNode: $("viewer"),
  plugins: [ours],
  requestInterceptor: signed,
  showMutatedRequest: false,
  validatorUrl: "none",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});

$("hold").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const order_id = form.order_id.value;
  const status = form.querySelector("[role=status]");
  try {
    await sandbox("POST", ["holds"], { order_id, amount: 100, currency: "UAH" });
    status.textContent = `The sandbox holds 100 UAH for order ${order_id}.`;
  } catch (problem) {
    status.textContent = problem.message;
  }
});
