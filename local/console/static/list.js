// The list: what is unsettled, in review, or was settled on a day, page by page as the API gives it; by the beginning of an
// order's id; and the orders opened here. What is listed stands in the address.

import { explain, listAll, listVoids, readVoid } from "./api.js";
import { $, age, badge, h, moment, replace, tell, utc } from "./dom.js";
import { forget, remembered } from "./remembered.js";
import { address, linkTo, linkToList, today } from "./route.js";
import { OPEN, STATES } from "./words.js";

const PAGE = 25;
const MOST_PAGES = 20; // of 100, that are searched for the beginning of an id
const SEARCHED_AGAIN = 30_000; // ms
const ALL_OF = { unsettled: "All unsettled voids", review: "All voids in review" };

let place = { state: "all", day: today(), begins: "", cursor: null, page: 1, order: null, project: null };
let turn = 0; // counts the changes of what is listed: an answer to an earlier question is not shown
let pages = {}; // state -> {voids, cursor, isWhole}, as read
let trail = [null]; // the cursors of the pages up to the one that is shown, as far as they were seen
let note = null; // what is said until another part of the list is asked for
let opened = new Map(); // order id -> record
let readAt = null;
let searchedAt = 0;
let drawn = "";

const listing = ({ state, day, begins, cursor }) => JSON.stringify([state, state === "settled" && day, begins, cursor]);
const titles = () => ({ unsettled: "Unsettled", review: "In review", settled: `Settled on ${place.day} (UTC)`, opened: "Opened in this browser" });

/** The record in the list, which shows all projects; the API's single records are those of its own. */
export function listed(id, project) {
  const all = Object.values(pages).flatMap((page) => page.voids);
  return all.find((record) => record.order_id === id && (!project || record.pos_id === project));
}

/** Lists what the address says, and marks the row of its void. */
export function showPlace(next) {
  const isOther = listing(next) !== listing(place);
  const isOtherPart = next.state !== place.state || next.day !== place.day || next.begins !== place.begins;
  place = next;
  if (isOther) [turn, searchedAt, note] = [turn + 1, 0, isOtherPart ? null : note];
  if (isOtherPart) [trail, pages, readAt] = [[null], {}, null];
  trail[place.page - 1] = place.cursor;
  for (const input of document.querySelectorAll("[name=filter]")) input.checked = input.value === place.state;
  $("days").hidden = place.state !== "settled";
  $("day").value = place.day;
  if (document.activeElement !== $("find-id") && place.begins) $("find-id").value = place.begins;
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
  if (place.begins) return search(asked);
  const states = statesOf(place.state);
  const answers = await Promise.all(states.map((state) => listVoids(state, PAGE, place.cursor, place.day)));
  if (asked !== turn) return;
  const failed = answers.find((answer) => !answer.ok);
  if (failed?.status === 400 && place.cursor) {
    note = "This page of the list is no longer there. The first one is shown.";
    location.replace(address({ cursor: null, page: 1 }));
    return;
  }
  if (failed) return unread(failed);
  tell("list-problem", note);
  readAt = Date.now();
  pages = Object.fromEntries(states.map((state, number) => [state, answers[number].json]));
  if (place.state === "all") await readOpened();
  if (asked === turn) draw();
}

const unread = (failed) => tell("list-problem", `The list could not be read. ${explain(failed)}${readAt ? ` What is shown is from ${moment(readAt)}.` : ""} It is read again every few seconds.`);

/** The API has no index by the beginning of an id, so the pages of the list are looked through. */
async function search(asked) {
  if (Date.now() - searchedAt < SEARCHED_AGAIN) return;
  const states = place.state === "all" ? ["unsettled", "review", "settled"] : [place.state];
  const begins = (record) => record.order_id.startsWith(place.begins);
  const found = await Promise.all(states.map((state) => listAll(state, MOST_PAGES, place.day, begins)));
  if (asked !== turn) return;
  const failed = found.find(([, answer]) => answer);
  if (failed) return unread(failed[1]);
  [searchedAt, readAt] = [Date.now(), Date.now()];
  tell("list-problem", null);
  pages = Object.fromEntries(states.map((state, number) => [state, { voids: found[number][0].records, cursor: null, isWhole: found[number][0].isWhole }]));
  await readOpened();
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
      else if (answer.status === 404 && id !== place.order) forget(id); // of an earlier run
      else if (known) fresh.set(id, known);
    }),
  );
  opened = new Map(remembered().filter((id) => fresh.has(id)).map((id) => [id, fresh.get(id)]));
}

// ---- drawing --------------------------------------------------------------------------------------------------

const same = (one, other) => one.order_id === other.order_id && (one.pos_id ?? other.pos_id) === (other.pos_id ?? one.pos_id);

/** [name, records]: a void is shown once, where it stands first. */
function sections() {
  const parts = [];
  const own = place.state === "all" ? [["opened", [...opened.values()].filter((record) => record.order_id.startsWith(place.begins))]] : [];
  for (const [name, records] of [...["unsettled", "review", "settled"].map((state) => [state, pages[state]?.voids ?? []]), ...own]) {
    const before = parts.flatMap(([, some]) => some);
    parts.push([name, records.filter((record) => !before.some((other) => same(record, other)))]);
  }
  return parts.filter(([, records]) => records.length > 0);
}

function draw() {
  const parts = sections();
  const now = JSON.stringify([place, trail.length, readAt === null, Object.values(pages).map((page) => [page.cursor, page.isWhole]), parts]);
  if (now === drawn) return;
  drawn = now;
  const projects = new Set(parts.flatMap(([, records]) => records.map((record) => record.pos_id)).filter(Boolean));
  replace($("lists"), parts.map(([name, records]) => section(name, records, projects.size > 1)));
  tell("empty", readAt === null ? "Loading…" : parts.length ? null : nothing());
  const count = Object.values(pages).reduce((sum, page) => sum + page.voids.length, 0);
  const isWhole = Object.values(pages).every((page) => page.isWhole !== false);
  tell("list-note", place.begins && readAt !== null ? `${count} begin with “${place.begins}”${isWhole ? "" : `, among the first ${MOST_PAGES * 100} of each list`}.` : null);
  drawPages();
}

function nothing() {
  if (place.begins) return "Settled voids are searched by day: choose Settled, and the day. A whole id opens any order.";
  if (place.state === "all") return "No void is unsettled or in review. Orders that are opened in this browser stay listed here.";
  if (place.page > 1 || pages[place.state]?.cursor) return "Nothing on this page.";
  return { review: "No void is in review.", unsettled: "No void is unsettled.", settled: "No void was settled on this day." }[place.state];
}

function section(name, records, withProject) {
  return h("section", { "aria-labelledby": `list-${name}` },
    h("h3", { id: `list-${name}` }, titles()[name]),
    h("ul", null, records.map((record) => h("li", null, row(record, withProject)))),
    place.state === "all" && pages[name]?.cursor && h("a.button", { href: linkToList({ state: name, cursor: null }), "data-key": `all-${name}` }, ALL_OF[name]),
  );
}

function row(record, withProject) {
  const { order_id: id, pos_id: project } = record;
  const current = place.order === id && (!place.project || !project || place.project === project);
  const at = record.settled_at ? utc(record.settled_at) : record.requested_at && `${age(record.requested_at)} old`;
  const facts = [amount(record), at, record.reason, record.reviews?.filter((one) => !one.read_at).map((one) => one.reason).join(", "), withProject && project && `project ${project.slice(0, 8)}…`];
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

/** The cursor of the page after the one that is shown. */
const nextPage = () => (place.state !== "all" && !place.begins && readAt !== null ? pages[place.state]?.cursor : null);

function drawPages() {
  const next = nextPage();
  $("pages").hidden = place.state === "all" || Boolean(place.begins) || (!next && place.page === 1);
  $("page-number").textContent = `Page ${place.page}`;
  // Not `disabled`: that would take the focus away from whoever pages with the keyboard.
  $("previous").setAttribute("aria-disabled", String(place.page === 1));
  $("next").setAttribute("aria-disabled", String(!next));
}

const go = (changes) => (location.hash = address({ cursor: null, page: 1, ...changes }));

function turnPage(step) {
  if (step > 0 && nextPage()) go({ cursor: nextPage(), page: place.page + 1 });
  // Whoever opened a link to a later page has not seen the ones before it: then back is to the first.
  const before = trail[place.page - 2];
  if (step < 0 && place.page > 1) go(before ? { cursor: before, page: place.page - 1 } : {});
  pages = {};
}

const dayBeside = (day, step) => new Date(Date.parse(day) + step * 86_400_000).toISOString().slice(0, 10);

/** Reads the list again at once whenever its user asks for another part of it. */
export function startList(onChange) {
  window.addEventListener("hashchange", onChange);
  for (const input of document.querySelectorAll("[name=filter]")) input.addEventListener("change", () => go({ state: input.value }));
  let typing = 0;
  $("find-id").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      history.replaceState(null, "", address({ begins: $("find-id").value, cursor: null, page: 1 }));
      window.dispatchEvent(new HashChangeEvent("hashchange"));
    }, 300);
  });
  $("day").addEventListener("change", () => $("day").value && go({ day: $("day").value }));
  $("day-before").addEventListener("click", () => go({ day: dayBeside(place.day, -1) }));
  $("day-after").addEventListener("click", () => go({ day: dayBeside(place.day, 1) }));
  $("previous").addEventListener("click", () => turnPage(-1));
  $("next").addEventListener("click", () => turnPage(1));
  $("lists").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...$("lists").querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) return;
    links[at + step]?.focus();
    event.preventDefault();
  });
}
