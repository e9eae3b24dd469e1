// The console: the list of voids, one void as a timeline, and the form that holds and voids an order in the sandbox.
// Reads what the merchant's API gives; the only thing it changes is orders that its user creates in the sandbox.

import { config, listVoids, readVoid, sandbox, submitVoid } from "./api.js";
import { $, copyButton, h, replace } from "./dom.js";
import { LABELS, WORDS } from "./faults.js";

const REMEMBERED = "void-service.orders";
const MOST_REMEMBERED = 60;
const RANK = { unknown: 1, submitting: 1, pending: 2, failed: 3, voided: 4 };
const UNSETTLED = new Set(["submitting", "unknown", "pending"]);
const EVIDENCE = {
  request: "request",
  answer: "answer to the void",
  webhook: "webhook",
  query: "order query",
};
const MEANING = {
  submitting: "The intent is stored; one void is on its way to Financial Line.",
  unknown: "The answer was lost or says nothing certain. It is asked about until it is known; nothing is sent again.",
  pending: "Financial Line is working on it.",
  failed: "The hold was not released.",
  voided: "The hold is released.",
};
const REASONS = {
  refused: "Financial Line refused it, for good.",
  "already-captured": "The money was captured: a refund is needed, not a void.",
  "order-not-found": "Financial Line does not know the order.",
  "not-executed": "Nothing was voided within 24 hours.",
  "not-sent": "Nothing was sent. The same request may be repeated.",
  throttled: "Too many requests; nothing was done. The same request may be repeated.",
  "provider-credentials": "Financial Line refuses our credentials. Nothing was voided; the same request may be repeated.",
};

const voids = new Map(); // order id -> record, of the list
const journals = new Map(); // order id -> what this page did: [{at, text, tone}]
let selected = null; // order id
let shown = ""; // what the detail shows, to redraw only what changed
let shownList = "";
let announced = "";
let more = false; // the API has further pages
let wake = () => {};

// ---- what the browser remembers -------------------------------------------------------------------------------

function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(REMEMBERED) ?? "[]");
    return Array.isArray(list) ? list.filter((id) => typeof id === "string" && id.length <= 32) : [];
  } catch {
    return [];
  }
}

function remember(id) {
  const list = [id, ...remembered().filter((other) => other !== id)].slice(0, MOST_REMEMBERED);
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify(list));
  } catch {
    // a browser without storage still shows what is unsettled
  }
}

function forget(id) {
  localStorage.setItem(REMEMBERED, JSON.stringify(remembered().filter((other) => other !== id)));
}

// ---- the list -------------------------------------------------------------------------------------------------

async function refreshList() {
  const [unsettled, review] = await Promise.all([listVoids("unsettled"), listVoids("review")]);
  for (const answer of [unsettled, review]) {
    if (!answer.ok) throw new Error(answer.json?.detail ?? `the API answered ${answer.status}`);
  }
  more = [unsettled, review].some((answer) => answer.json.cursor !== null);
  const fresh = new Map([...unsettled.json.voids, ...review.json.voids].map((record) => [record.order_id, record]));
  const missing = new Set([...remembered(), ...voids.keys()].filter((id) => !fresh.has(id)));
  await Promise.all(
    [...missing].map(async (id) => {
      const known = voids.get(id);
      // A settled record hardly changes: it is read again only while it is open.
      if (known && !UNSETTLED.has(known.state) && !known.review && id !== selected) return fresh.set(id, known);
      const answer = await readVoid(id);
      if (answer.ok) fresh.set(id, answer.json);
      else if (answer.status === 404 && id !== selected && !journals.has(id)) forget(id); // of an earlier run
    }),
  );
  voids.clear();
  for (const [id, record] of fresh) voids.set(id, record);
  drawList();
}

function drawList() {
  const records = [...voids.values()].sort(
    (one, other) =>
      Number(other.review) - Number(one.review) ||
      RANK[one.state] - RANK[other.state] ||
      (other.requested_at ?? "").localeCompare(one.requested_at ?? ""),
  );
  const now = JSON.stringify([selected, more, records.map((record) => [record.order_id, record.state, record.review, record.reason])]);
  if (now === shownList) return;
  shownList = now;
  $("empty").hidden = records.length > 0;
  $("more").hidden = !more;
  replace(
    $("voids"),
    records.map((record) =>
      h("li", null,
        h("a", { href: hash(record.order_id), "data-key": record.order_id, "aria-current": record.order_id === selected ? "true" : null },
          h("span.id", null, record.order_id),
          badges(record),
          h("span.quiet", null, amount(record), record.requested_at ? ` · ${clock(record.requested_at).slice(0, 8)}` : "", record.reason ? ` · ${record.reason}` : ""),
        ),
      ),
    ),
  );
}

const hash = (id) => `#order=${encodeURIComponent(id)}`;
const amount = (record) => (record.provider?.amount ? `${record.provider.amount} ${record.provider.currency ?? ""}` : record.order_currency ?? "");

function badges(record) {
  return h("span.badges", null,
    record.review && h("span.badge.review", null, "review"),
    record.corrected && h("span.badge.review", null, "corrected"),
    h(`span.badge.${RANK[record.state] ? record.state : "other"}`, null, record.state),
  );
}

// ---- one void -------------------------------------------------------------------------------------------------

function journal(id, text, tone = "page") {
  if (!journals.has(id)) journals.set(id, []);
  journals.get(id).push({ at: new Date().toISOString(), text, tone });
  wake();
}

async function refreshSelected() {
  const id = selected;
  if (id === null) return;
  const [answer, ledger] = await Promise.all([readVoid(id), sandbox("GET", ["orders", id]).catch(() => null)]);
  if (id !== selected) return;
  if (answer.ok) {
    voids.set(id, answer.json);
    drawList();
    const say = `Order ${id}: ${answer.json.state}`;
    if (announced !== say) $("announcer").textContent = announced = say;
  }
  drawVoid(id, answer, ledger);
}

function drawVoid(id, answer, ledger) {
  const record = answer.ok ? answer.json : null;
  const now = JSON.stringify([id, answer.status, answer.json?.detail, record, ledger, journals.get(id) ?? []]);
  if (now === shown) return;
  shown = now;
  const settled = record && !UNSETTLED.has(record.state);
  const none = answer.status === 404 ? "There is no void of this order yet." : answer.json?.detail ?? `The API answered ${answer.status}.`;
  replace(
    $("void"),
    h("div.title", null,
      h("h1", { id: "void-title" }, h("span.quiet", null, "Order "), id),
      copyButton(id, "order id"),
      record && badges(record),
    ),
    h("p", { id: "meaning" }, record ? [MEANING[record.state] ?? "", record.reason ? ` ${REASONS[record.reason] ?? record.reason}` : ""] : none),
    record?.review && h("p.notice", null, "A person should look at this void."),
    record?.resend_allowed && h("p.notice", null, "Financial Line shows no void: a request with a new key, or none, sends it again."),
    h("div.actions", null,
      record && !settled && h("button", { type: "button", "data-key": "refresh", click: () => ask(id) }, "Ask Financial Line now"),
      ledger?.voids_received > 0 && h("button", { type: "button", "data-key": "again", click: () => sendAgain(id) }, "Send the last webhook again"),
    ),
    h("h2", null, "Timeline"),
    timeline(id, record, ledger),
    record?.events_truncated && h("p.quiet", null, "Only the newest 100 webhooks are shown."),
    record && h("div.panels", null, facts("Record", recordFacts(record)), record.provider && facts("Evidence of Financial Line", record.provider)),
    ledger && sandboxPanel(ledger),
    record && h("details", { "data-key": "json" }, h("summary", null, "JSON of the API"), h("pre", { tabindex: 0 }, JSON.stringify(record, null, 2))),
  );
}

/** Everything known, in order of time: what this page did, the record's history, the webhooks. */
function timeline(id, record, ledger) {
  const entries = (journals.get(id) ?? []).map((step) => ({ ...step, title: step.text, kind: "this page" }));
  let previous = null;
  for (const step of record?.history ?? []) {
    entries.push({ at: step.at, tone: step.state, kind: EVIDENCE[step.evidence] ?? step.evidence, title: titleOf(step, previous), state: step.state });
    previous = step.state;
  }
  for (const event of record?.events ?? []) {
    entries.push({ at: event.received_at, tone: "event", kind: "webhook received", title: `Genuine webhook: ${event.method} ${event.status}`, provider: event.provider });
  }
  // A webhook and what it changed carry one time: the cause comes first.
  entries.sort((one, other) => one.at.localeCompare(other.at) || Number(other.tone === "event") - Number(one.tone === "event"));
  const refused = (ledger?.webhooks ?? []).filter((sent) => sent.status !== 200);
  if (!entries.length && !refused.length) return h("p.quiet", null, "Nothing yet.");
  const first = entries.length ? Date.parse(entries[0].at) : 0;
  return h("ol.timeline", null,
    entries.map((entry, number) =>
      h(`li.${RANK[entry.tone] || entry.tone === "event" || entry.tone === "problem" ? entry.tone : "page"}`, null,
        h("div.when", null, h("time", { datetime: entry.at, title: entry.at }, clock(entry.at)), h("span.quiet", null, since(Date.parse(entry.at) - first))),
        h("div.what", null,
          h("div", null, h("span.entry", null, entry.title), entry.state && h(`span.badge.${RANK[entry.state] ? entry.state : "other"}`, null, entry.state), h("span.kind", null, entry.kind)),
          entry.provider && h("details", { "data-key": `event-${number}` }, h("summary", null, ids(entry.provider)), definition(entry.provider)),
        ),
      ),
    ),
    refused.map((sent) =>
      h(sent.genuine ? "li.problem" : "li.page", null, h("div.when", null, h("span.quiet", null, "sandbox")),
        h("div.what", null, h("span.entry", null, `Webhook refused: ${sent.status ? `answered ${sent.status}` : sent.error ?? "no answer"}`), h("span.kind", null, sent.genuine ? "genuine" : "forged"))),
    ),
  );
}

function titleOf(step, previous) {
  if (step.evidence === "request") return previous ? "Requested again: intent stored, one void sent" : "Requested: intent stored, then one void sent";
  if (step.state === previous) return "Seen again";
  return { voided: "The hold is released", failed: "It failed", pending: "Financial Line works on it", unknown: "The outcome is not known", submitting: "Sent" }[step.state] ?? step.state;
}

const ids = (provider) => [provider.operation_id ? `operation ${provider.operation_id}` : "no operation id", provider.status_code ? ` · ${provider.status_code}` : "", provider.status_description ? ` ${provider.status_description}` : ""].join("");

const recordFacts = (record) => ({
  "Order id": record.order_id, State: record.state, Reason: record.reason, Currency: record.order_currency, Comment: record.comment,
  Attempt: record.attempt, "Requested at": record.requested_at, "Requested by": record.requested_by, "Settled at": record.settled_at,
  Review: record.review ? "yes" : "no", Corrected: record.corrected ? "yes" : "no", "Resend allowed": record.resend_allowed ? "yes" : "no",
});

const facts = (title, values) => h("section.panel", null, h("h2", null, title), definition(values));

function definition(values) {
  return h("dl", null,
    Object.entries(values).map(([name, value]) => {
      const text = value === null || value === undefined ? null : typeof value === "object" ? JSON.stringify(value) : String(value);
      return h("div", null, h("dt", null, name.replaceAll("_", " ")),
        h("dd", null, text === null ? h("span.quiet", null, "—") : [h("span", null, text), /(_id| id)$/i.test(name) && copyButton(text, name)]));
    }),
  );
}

function sandboxPanel(ledger) {
  return h("section.panel", null,
    h("h2", null, "What the Financial Line sandbox knows"),
    h("p", null, `${count(ledger.voids_received, "void")} received, `, h("strong", null, `${count(ledger.voids_executed, "void")} executed`), `, ${count(ledger.webhooks.length, "webhook")} sent.`),
    ledger.operations.length > 0 &&
      h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Operations" },
        h("table", null,
          h("thead", null, h("tr", null, ["operation", "status", "amount", "code", "created at", "id"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", null, ledger.operations.map((item) =>
            h("tr", null, h("td", null, item.method), h("td", null, item.status), h("td", null, `${item.amount} ${item.currency}`), h("td", null, item.status_code), h("td", null, item.created_at), h("td.id", null, item.operation_id ?? item.payment_id)))))),
    ledger.webhooks.length > 0 &&
      h("ol", null, ledger.webhooks.map((sent) =>
        h("li", null, sent.genuine ? "Genuine webhook: " : "Forged webhook: ", sent.status ? `the service answered ${sent.status}` : sent.error ?? "no answer"))),
  );
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const clock = (at) => {
  const moment = new Date(at);
  return Number.isNaN(moment.getTime()) ? String(at) : `${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
};
const since = (ms) => (!Number.isFinite(ms) ? "" : ms < 60_000 ? `+${(ms / 1000).toFixed(2)} s` : ms < 3_600_000 ? `+${(ms / 60_000).toFixed(1)} min` : `+${(ms / 3_600_000).toFixed(1)} h`);

async function ask(id) {
  journal(id, "Asks Financial Line by GET ?refresh=true");
  const answer = await readVoid(id, true);
  journal(id, `Answer ${answer.status} after ${answer.ms} ms: ${answer.json?.state ?? answer.json?.detail ?? ""}`, answer.ok ? "page" : "problem");
}

async function sendAgain(id) {
  try {
    const sent = await sandbox("POST", ["webhooks", id]);
    journal(id, `The sandbox sent its last webhook again; the service answered ${sent?.status ?? "nothing"}`);
  } catch (problem) {
    journal(id, problem.message, "problem");
  }
}

// ---- the form -------------------------------------------------------------------------------------------------

function buildForm() {
  for (const [kind, names] of Object.entries(config.faults)) {
    const words = h("small", { id: `words-${kind}` });
    const select = h("select", { name: kind, "aria-describedby": `words-${kind}` },
      names.map((name) => h("option", { value: name, selected: name === config.defaults[kind] }, name)));
    const tell = () => (words.textContent = WORDS[kind]?.[select.value] ?? "");
    select.addEventListener("change", tell);
    tell();
    $("faults").append(h("label", null, LABELS[kind] ?? kind, " ", select, words));
  }
  $("create").addEventListener("submit", (event) => {
    event.preventDefault();
    void create(new FormData(event.target));
  });
}

async function create(form) {
  const id = form.get("order_id").toString();
  const currency = form.get("currency").toString();
  const comment = form.get("comment").toString();
  const digits = form.get("amount").toString();
  const faults = Object.fromEntries(Object.keys(config.faults).map((kind) => [kind, form.get(kind)]));
  $("problem").textContent = "";
  try {
    // Written by hand, so that the digits of the amount are those that were typed.
    await sandbox("POST", ["holds"], `{"order_id":${JSON.stringify(id)},"currency":${JSON.stringify(currency)},"amount":${digits.replace(/^0+(?=\d)/, "")}}`);
    await sandbox("PUT", ["faults", id], faults);
  } catch (problem) {
    $("problem").textContent = problem.message;
    return;
  }
  remember(id);
  journal(id, `Hold of ${digits} ${currency} created; faults: ${Object.entries(faults).map(([kind, name]) => `${kind} ${name}`).join(", ")}`);
  location.hash = hash(id);
  const request = { order_id: id, order_currency: currency };
  if (comment) request.comment = comment;
  journal(id, "POST /v1/voids");
  try {
    const answer = await submitVoid(request, crypto.randomUUID());
    const what = answer.json?.state ?? answer.json?.title ?? "";
    journal(id, `Answer ${answer.status} after ${answer.ms} ms${what ? `: ${what}` : ""}`, answer.ok ? "page" : "problem");
  } catch (problem) {
    journal(id, `No answer: ${problem.message}`, "problem");
  }
}

// ---- which page, and how often --------------------------------------------------------------------------------

function route() {
  const wanted = location.hash;
  let id = null;
  try {
    id = wanted.startsWith("#order=") ? decodeURIComponent(wanted.slice(7)) : null;
  } catch {
    id = null; // not an encoded id
  }
  if (wanted === "#main") return $("main").focus();
  const moved = id !== selected;
  selected = id || null;
  $("new").hidden = selected !== null;
  $("void").hidden = selected === null;
  document.title = selected === null ? "Voids" : `Order ${selected} · Voids`;
  if (selected === null) {
    shown = "";
    $("create").elements.order_id.value = `order-${Date.now().toString(36)}`;
  } else if (moved) {
    shown = "";
    $("void").replaceChildren(h("h1", { id: "void-title" }, selected));
    $("main").focus({ preventScroll: false });
  }
  drawList();
  wake();
}

/** Often while something can still happen, seldom otherwise, never while nobody looks. */
function pause() {
  const record = voids.get(selected);
  const busy = selected !== null && (!record || UNSETTLED.has(record.state) || Date.now() - Date.parse(record.settled_at ?? 0) < 10_000);
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, busy ? 600 : 3000);
  });
}

async function keepFresh() {
  for (let turn = 0; ; turn += 1) {
    if (!document.hidden) {
      try {
        await refreshSelected();
        if (turn % 3 === 0 || selected === null) await refreshList();
        $("connection").textContent = "live";
        $("connection").className = "connection live";
      } catch (problem) {
        $("connection").textContent = `not connected: ${problem.message}`;
        $("connection").className = "connection lost";
      }
    }
    await pause();
  }
}

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $("find-id").value;
  if (!id) return;
  remember(id);
  location.hash = hash(id);
});
$("voids").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const links = [...$("voids").querySelectorAll("a")];
  links[links.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
});
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => wake());
buildForm();
route();
void keepFresh();
