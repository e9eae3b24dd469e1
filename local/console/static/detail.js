// One void: what is known of it, as a timeline and as facts.

import { explain, isLocal, readVoid, sandbox, wrongWith } from "./api.js";
import { forgetDecision, offer } from "./decide.js";
import { $, age, badge, clock, copyButton, h, moment, prose, replace, since, table, utc } from "./dom.js";
import { badges, listed, update } from "./list.js";
import { BECAME, EVIDENCE, MEANING, OPEN, REASONS, REVIEWS, STATES } from "./words.js";

const journals = new Map(); // order id -> what this page did: [{at, text, tone}]
let wanted = null; // {id, project}
let latest = null; // {record, at} of the order that is wanted, as last read
let drawn = ""; // what is shown, to redraw only what changed
let announced = "";
let wake = () => {};

/** The order to show from now on; null: none. */
export function show(id, project) {
  wanted = id === null ? null : { id, project };
  latest = null;
  drawn = "";
  forgetDecision();
  offer(null);
  if (wanted) replace($("void"), h("h2", { id: "void-title" }, h("span.quiet", null, "Order "), id), h("p.quiet", null, "Loading…"));
}

/** The record of the order that is shown, as last read. */
export const known = () => latest?.record ?? null;

/** Something can still happen to it, so that it is worth looking often. */
export function isBusy() {
  if (!wanted || wrongWith(wanted.id)) return false;
  const record = latest?.record;
  return !record || OPEN.has(record.state) || Date.now() - Date.parse(record.settled_at ?? 0) < 10_000;
}

export const startDetail = (onChange) => (wake = onChange);

/** Adds to the timeline what this page did. */
export function journal(id, text, tone = "page") {
  if (!journals.has(id)) journals.set(id, []);
  journals.get(id).push({ at: new Date().toISOString(), text, tone });
  wake();
}

export async function refreshDetail() {
  if (!wanted) return;
  const asked = wanted;
  const { id, project } = asked;
  const wrong = wrongWith(id);
  if (wrong) return draw(id, null, wrong, null);
  const [answer, ledger] = await Promise.all([readVoid(id), isLocal ? sandbox("GET", ["orders", id]).catch(() => null) : null]);
  if (asked !== wanted) return;
  const others = listed(id, project);
  if (answer.ok && !(project && others && answer.json.pos_id && answer.json.pos_id !== project)) {
    latest = { record: answer.json, at: Date.now() };
    update(answer.json);
    announce(`Order ${id}: ${answer.json.state}`);
    draw(id, answer.json, null, ledger);
  } else if ((answer.ok || answer.status === 404) && others?.pos_id) {
    draw(id, others, `This void belongs to another project, ${others.pos_id}: only what the list has of it is shown.`, null);
  } else if (answer.status === 404) {
    draw(id, null, "No void was requested or reported for this order.", ledger);
  } else if (answer.status === 400) {
    draw(id, null, `This is not an order id. ${explain(answer)}`, null);
  } else {
    draw(id, known(), `The record could not be read. ${explain(answer)}${latest ? ` What is shown is from ${moment(latest.at)}.` : ""}`, ledger);
  }
}

function announce(sentence) {
  if (announced !== sentence) $("announcer").textContent = announced = sentence;
}

function draw(id, record, notice, ledger) {
  const now = JSON.stringify([id, record, notice, ledger, journals.get(id) ?? []]);
  if (now === drawn) return;
  drawn = now;
  const open = record && OPEN.has(record.state);
  offer(record);
  replace(
    $("void"),
    h("div.title", null, h("h2", { id: "void-title" }, h("span.quiet", null, "Order "), id), copyButton(id, "order id"), record && badges(record)),
    notice && h(record ? "p.notice" : "p", { id: "notice" }, notice),
    record && h("p", { id: "meaning" }, MEANING[record.state] ?? "", record.reason && ` ${REASONS[record.reason] ?? record.reason}`),
    said(record),
    record?.reviews?.length > 0 && reviewsOf(record.reviews),
    record?.resend_allowed && h("p.notice", null, "Financial Line shows no void: a request with a new key, or none, sends it again."),
    h("div.actions", null,
      open && h("button", { type: "button", "data-key": "refresh", click: () => askNow(id) }, "Ask Financial Line now"),
      ledger?.voids_received > 0 && h("button", { type: "button", "data-key": "again", click: () => sendAgain(id) }, "Send the last webhook again"),
    ),
    (record || ledger || journals.has(id)) && [h("h3", null, "Timeline"), timeline(id, record, ledger)],
    record?.webhooks_truncated && h("p.quiet", null, "Only the newest 100 webhooks are shown."),
    record && h("div.panels", null, facts("Record", recordFacts(record)), record.provider && facts("Evidence of Financial Line", record.provider)),
    record && tables(record),
    ledger && sandboxPanel(ledger),
    record && h("details", { "data-key": "json" }, h("summary", null, "JSON of the API"), h("pre", { tabindex: 0 }, JSON.stringify(record, null, 2))),
  );
}

/** The provider's own words about a void that is not voided. */
function said(record) {
  const words = [record?.provider_code, record?.provider_message].filter(Boolean);
  return record && record.state !== "voided" && words.length > 0 && h("p", { id: "said" }, "Financial Line said: ", h("strong", null, words.join(": ")));
}

function reviewsOf(reviews) {
  return h("ul.reviews", null, reviews.map((one) =>
    h(one.read_at ? "li.quiet" : "li.notice", null, h("strong", null, one.reason), ` (${one.subject}), since ${utc(one.since)}. `, REVIEWS[one.reason] ?? "",
      one.read_at ? ` Read ${utc(one.read_at)}.` : ` An operator must look: ${age(one.since)}.`)));
}

/** What was tried, what the provider has shown, and what operators have decided. */
function tables(record) {
  const parts = [
    ["Attempts", record.attempts, ["number", "requested", "by", "key", "end", "ended"], (one) => [one.number, utc(one.requested_at), one.requested_by, one.with_key ? "yes" : "no", one.end ?? "in flight, or lost", utc(one.ended_at)]],
    ["Operations at Financial Line", record.operations, ["method", "status", "operation id", "transaction id", "first reported", "last reported", "by"], (one) => [one.method, one.status, one.operation_id, one.transaction_id, utc(one.first_reported_at), utc(one.last_reported_at), one.reported_by.join(", ")]],
    ["Decisions", record.decisions, ["at", "by", "decision", "before", "note"], (one) => [utc(one.at), one.by, one.decision, [one.state, one.reason].filter(Boolean).join(", "), one.note]],
  ];
  return parts.filter(([, rows]) => rows?.length > 0).map(([title, rows, columns, cells]) => h("section", null, h("h3", null, title), table(title, columns, rows.map(cells))));
}

// ---- the timeline ---------------------------------------------------------------------------------------------

/** Everything known, in order of time: what this page did, the record's history, the webhooks. */
function timeline(id, record, ledger) {
  const entries = [...ofThisPage(id), ...ofHistory(record?.history ?? []), ...ofWebhooks(record?.webhooks ?? [])];
  // A webhook and what it changed carry one time: the cause comes first.
  entries.sort((one, other) => one.at.localeCompare(other.at) || Number(other.tone === "event") - Number(one.tone === "event"));
  const refused = (ledger?.webhooks ?? []).filter((sent) => sent.status !== 200);
  if (!entries.length && !refused.length) return h("p.quiet", null, "Nothing yet.");
  const first = entries.length ? Date.parse(entries[0].at) : 0;
  return h("ol.timeline", null, entries.map((entry, number) => line(entry, number, first)), refused.map(refusedWebhook));
}

const ofThisPage = (id) => (journals.get(id) ?? []).map((step) => ({ ...step, title: step.text, kind: "this page" }));

function ofHistory(history) {
  return history.map((step, number) => {
    const before = history[number - 1]?.state ?? null;
    return { at: step.at, tone: step.state, kind: EVIDENCE[step.evidence] ?? step.evidence, title: titleOf(step, before), state: step.state };
  });
}

function titleOf(step, before) {
  if (step.evidence === "request") return before ? "Requested again: intent stored, one void sent" : "Requested: intent stored, then one void sent";
  return step.state === before ? "Seen again" : BECAME[step.state] ?? step.state;
}

const ofWebhooks = (events) =>
  events.map((event) => ({ at: event.received_at, tone: "event", kind: "webhook received", title: `Genuine webhook: ${event.method} ${event.status}`, provider: event.provider }));

function line(entry, number, first) {
  const tone = STATES.has(entry.tone) || ["event", "problem"].includes(entry.tone) ? entry.tone : "page";
  return h(`li.${tone}`, null,
    h("div.when", null, h("time", { datetime: entry.at, title: entry.at }, clock(entry.at)), h("span.quiet", null, since(Date.parse(entry.at) - first))),
    h("div.what", null,
      h("div", null, h("span.entry", null, entry.title), entry.state && badge(entry.state, STATES.has(entry.state) ? entry.state : "other"), h("span.kind", null, entry.kind)),
      entry.provider && h("details", { "data-key": `event-${number}` }, h("summary", null, ids(entry.provider)), definition(entry.provider, `event-${number}`)),
    ),
  );
}

function refusedWebhook(sent) {
  const end = sent.status ? `answered ${sent.status}` : sent.error ?? "no answer";
  return h(sent.genuine ? "li.problem" : "li.page", null,
    h("div.when", null, h("span.quiet", null, "sandbox")),
    h("div.what", null, h("span.entry", null, `Webhook refused: ${end}`), h("span.kind", null, sent.genuine ? "genuine" : "forged")),
  );
}

const ids = (provider) => [provider.operation_id ? `operation ${provider.operation_id}` : "no operation id", provider.status_code && `· ${provider.status_code}`, shortened(provider.status_description)].filter(Boolean).join(" ");
const shortened = (text) => (typeof text === "string" && text.length > 80 ? `${text.slice(0, 80)}…` : text);

// ---- facts ----------------------------------------------------------------------------------------------------

function recordFacts(record) {
  const yes = (flag) => (flag ? "yes" : "no");
  return {
    "Order id": record.order_id, ...(record.pos_id ? { Project: record.pos_id } : {}), State: record.state, Reason: record.reason,
    Currency: record.order_currency, Comment: record.comment, Attempt: record.attempt, "Requested at": record.requested_at,
    "Requested by": record.requested_by, "Settled at": record.settled_at, Review: yes(record.review),
    Corrected: yes(record.corrected), "Resend allowed": yes(record.resend_allowed),
    "Provider's code": record.provider_code, "Provider's message": record.provider_message, Version: record.version, Revision: record.revision,
  };
}

const facts = (title, values) => h("section.panel", null, h("h3", null, title), definition(values, title));

function definition(values, key) {
  return h("dl", null,
    Object.entries(values).map(([name, value]) => {
      const text = value === null || value === undefined ? null : typeof value === "object" ? JSON.stringify(value) : String(value);
      return h("div", null, h("dt", null, name.replaceAll("_", " ")),
        h("dd", null, text === null ? h("span.quiet", null, "—") : [prose(text, `${key}-${name}`), /(_id| id)$/i.test(name) && copyButton(text, name)]));
    }),
  );
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function sandboxPanel(ledger) {
  return h("section.panel", null,
    h("h3", null, "What the Financial Line sandbox knows"),
    h("p", null, `${count(ledger.voids_received, "void")} received, `, h("strong", null, `${count(ledger.voids_executed, "void")} executed`), `, ${count(ledger.webhooks.length, "webhook")} sent.`),
    ledger.operations.length > 0 && operations(ledger.operations),
    ledger.webhooks.length > 0 &&
      h("ol", null, ledger.webhooks.map((sent) =>
        h("li", null, sent.genuine ? "Genuine webhook: " : "Forged webhook: ", sent.status ? `the service answered ${sent.status}` : sent.error ?? "no answer"))),
  );
}

function operations(items) {
  const cells = (item) => [item.method, item.status, `${item.amount} ${item.currency}`, item.status_code, item.created_at, item.operation_id ?? item.payment_id];
  return table("Operations", ["operation", "status", "amount", "code", "created at", "id"], items.map(cells));
}

// ---- actions --------------------------------------------------------------------------------------------------

async function askNow(id) {
  journal(id, "Asks Financial Line by GET ?refresh=true");
  try {
    const answer = await readVoid(id, true);
    journal(id, `Answer ${answer.status} after ${answer.ms} ms${answer.ok ? `: ${answer.json.state}` : ""}`, answer.ok ? "page" : "problem");
  } catch (problem) {
    journal(id, problem.message, "problem");
  }
}

async function sendAgain(id) {
  try {
    const sent = await sandbox("POST", ["webhooks", id]);
    journal(id, `The sandbox sent its last webhook again; the service answered ${sent?.status ?? "nothing"}`);
  } catch (problem) {
    journal(id, problem.message, "problem");
  }
}
