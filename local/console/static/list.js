// The list: unsettled voids and those in review, page by page as the API gives them, and the orders opened here.

import { explain, listVoids, readVoid } from "./api.js";
import { $, badge, h, moment, replace, tell } from "./dom.js";
import { forget, remembered } from "./remembered.js";
import { OPEN, STATES } from "./words.js";

const PAGE = 25;
const TITLES = { unsettled: "Unsettled", review: "In review", opened: "Opened in this browser" };
const ALL_OF = { unsettled: "All unsettled voids", review: "All voids in review" };

let filter = "all"; // or a state that the API lists
let cursors = [null]; // of the pages up to the one that is wanted
let turn = 0; // counts the changes of the two above: an answer to an earlier question is not shown
let pages = {}; // state -> {voids, cursor}, as read
let note = null; // what is said until another part of the list is asked for
let depth = 0; // how many cursors there were when they were read
let opened = new Map(); // order id -> record
let readAt = null;
let selected = null; // {id, project}
let drawn = "";

/** The record in the list, which shows all projects; the API's single records are those of its own. */
export function listed(id, project) {
  const all = Object.values(pages).flatMap((page) => page.voids);
  return all.find((record) => record.order_id === id && (!project || record.pos_id === project));
}

export const linkTo = (id, project) => `#order=${encodeURIComponent(id.toWellFormed())}${project ? `&project=${encodeURIComponent(project)}` : ""}`;

/** Marks a row. */
export function select(id, project) {
  selected = { id, project };
  draw();
}

/** A record that was just read says more than the list. */
export function update(record) {
  if (opened.has(record.order_id)) opened.set(record.order_id, record);
  draw();
}

const statesOf = (wanted) => (wanted === "all" ? ["unsettled", "review"] : [wanted]);

export async function refreshList() {
  const asked = turn;
  const states = statesOf(filter);
  const answers = await Promise.all(states.map((state) => listVoids(state, PAGE, cursors.at(-1))));
  if (asked !== turn) return;
  const failed = answers.find((answer) => !answer.ok);
  if (failed?.status === 400 && cursors.length > 1) {
    return show(filter, [null], "This page of the list is no longer there. The first one is shown.");
  }
  if (failed) return tell("list-problem", `The list could not be read. ${explain(failed)}${readAt ? ` What is shown is from ${moment(readAt)}.` : ""} It is read again every few seconds.`);
  tell("list-problem", note);
  readAt = Date.now();
  pages = Object.fromEntries(states.map((state, number) => [state, answers[number].json]));
  depth = cursors.length;
  if (filter === "all") await readOpened();
  if (asked === turn) draw();
}

async function readOpened() {
  const fresh = new Map();
  await Promise.all(
    remembered().map(async (id) => {
      const known = opened.get(id);
      // A settled record hardly changes: it is read again only while it is open.
      if (known && !OPEN.has(known.state) && !known.review) return fresh.set(id, known);
      const answer = await readVoid(id);
      if (answer.ok) fresh.set(id, answer.json);
      else if (answer.status === 404 && id !== selected?.id) forget(id); // of an earlier run
      else if (known) fresh.set(id, known);
    }),
  );
  opened = new Map(remembered().filter((id) => fresh.has(id)).map((id) => [id, fresh.get(id)]));
}

// ---- drawing --------------------------------------------------------------------------------------------------

const same = (one, other) => one.order_id === other.order_id && (one.pos_id ?? other.pos_id) === (other.pos_id ?? one.pos_id);

/** [title, state or null, records]: a void is shown once, where it stands first. */
function sections() {
  const unsettled = pages.unsettled?.voids ?? [];
  const review = (pages.review?.voids ?? []).filter((record) => !unsettled.some((other) => same(record, other)));
  const own = filter === "all" ? [...opened.values()].filter((record) => ![...unsettled, ...review].some((other) => same(record, other))) : [];
  return [["unsettled", unsettled], ["review", review], ["opened", own]].filter(([, records]) => records.length > 0);
}

function draw() {
  const parts = sections();
  const now = JSON.stringify([selected, filter, cursors.length, depth, Object.values(pages).map((page) => page.cursor), parts]);
  if (now === drawn) return;
  drawn = now;
  const projects = new Set(parts.flatMap(([, records]) => records.map((record) => record.pos_id)).filter(Boolean));
  replace($("lists"), parts.map(([name, records]) => section(name, records, projects.size > 1)));
  tell("empty", parts.length || readAt === null ? null : nothing());
  drawPages();
}

function nothing() {
  if (filter === "all") return "No void is unsettled or in review. Orders that are opened in this browser stay listed here.";
  if (cursors.length > 1 || pages[filter]?.cursor) return "Nothing on this page.";
  return filter === "review" ? "No void is in review." : "No void is unsettled.";
}

function section(name, records, withProject) {
  return h("section", { "aria-labelledby": `list-${name}` },
    h("h3", { id: `list-${name}` }, TITLES[name]),
    h("ul", null, records.map((record) => h("li", null, row(record, withProject)))),
    filter === "all" && pages[name]?.cursor && h("button", { type: "button", "data-key": `all-${name}`, click: () => choose(name) }, ALL_OF[name]),
  );
}

function row(record, withProject) {
  const { order_id: id, pos_id: project } = record;
  const current = selected?.id === id && (!selected.project || !project || selected.project === project);
  const facts = [amount(record), record.requested_at && moment(record.requested_at), record.reason, withProject && project && `project ${project.slice(0, 8)}…`];
  return h("a", { href: linkTo(id, withProject ? project : null), "data-key": `row-${project ?? ""}-${id}`, "data-order": id, "aria-current": current ? "true" : null },
    h("span.id", null, id), badges(record), h("span.quiet", null, facts.filter(Boolean).join(" · ")));
}

/** Only what Financial Line has said: a currency alone is no amount. */
const amount = ({ provider }) => (provider?.amount === null || provider?.amount === undefined ? null : [provider.amount, provider.currency].filter(Boolean).join(" "));

export function badges(record) {
  return h("span.badges", null,
    record.review && badge("review", "review"),
    record.corrected && badge("corrected", "review"),
    badge(record.state, STATES.has(record.state) ? record.state : "other"),
  );
}

// ---- filter and pages -----------------------------------------------------------------------------------------

let wake = () => {};

function show(state, pagesSoFar, sentence = null) {
  [filter, cursors, note] = [state, pagesSoFar, sentence];
  turn += 1;
  wake();
}

function choose(state) {
  for (const input of document.querySelectorAll("[name=filter]")) {
    input.checked = input.value === state;
    if (input.checked) input.focus();
  }
  pages = Object.fromEntries(Object.entries(pages).filter(([name]) => statesOf(state).includes(name)));
  show(state, [null]);
  draw();
}

function drawPages() {
  const next = nextPage();
  $("pages").hidden = filter === "all" || (!next && cursors.length === 1);
  $("page-number").textContent = `Page ${cursors.length}`;
  // Not `disabled`: that would take the focus away from whoever pages with the keyboard.
  $("previous").setAttribute("aria-disabled", String(cursors.length === 1));
  $("next").setAttribute("aria-disabled", String(!next));
}

/** The cursor of the page after the one that is shown. */
const nextPage = () => (filter !== "all" && depth === cursors.length ? pages[filter]?.cursor : null);

/** Reads the list again at once whenever its user asks for another part of it. */
export function startList(onChange) {
  wake = onChange;
  for (const input of document.querySelectorAll("[name=filter]")) input.addEventListener("change", () => choose(input.value));
  $("previous").addEventListener("click", () => cursors.length > 1 && show(filter, cursors.slice(0, -1)));
  $("next").addEventListener("click", () => nextPage() && show(filter, [...cursors, nextPage()]));
  $("lists").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...$("lists").querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) return;
    links[at + step]?.focus();
    event.preventDefault();
  });
}
