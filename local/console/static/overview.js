// Pictures of what happens: voids a day by outcome, time to settle, open by age; and what has left as an event locally.
// Every figure that is drawn stands beside its bar as text.

import { explain, isLocal, listAll } from "./api.js";
import { $, drawing, h, replace, table, tell, utc } from "./dom.js";
import { linkTo, linkToList, today } from "./route.js";

const DAYS = 14;
const MOST_PAGES = 10; // of 100, of each day
const STEPS = [[1, "under 1 s"], [10, "under 10 s"], [60, "under 1 min"], [300, "under 5 min"], [3600, "under 1 h"], [86_400, "under 1 day"], [604_800, "under 1 week"], [Infinity, "longer"]];

let turn = 0;

export function showOverview(isShown) {
  turn += 1;
  if (!isShown) return replace($("overview"));
  replace($("overview"),
    h("div.title", null, h("h2", { id: "overview-title" }, "Overview"), h("button", { type: "button", "data-key": "overview-again", click: () => showOverview(true) }, "Read again")),
    h("p.quiet", { id: "overview-note", role: "status" }, "Loading…"), h("div", { id: "charts" }), h("div", { id: "left" }));
  void readAll(turn).catch((problem) => asked(turn) && tell("overview-note", problem.message));
  if (isLocal) void readEvents(turn).catch(() => {});
}

const asked = (number) => number === turn;

async function readAll(number) {
  const days = Array.from({ length: DAYS }, (_, back) => new Date(Date.parse(today()) - back * 86_400_000).toISOString().slice(0, 10));
  const lists = [["unsettled", null], ["review", null], ...days.map((day) => ["settled", day])];
  const found = [];
  for (const [state, day] of lists) {
    if (!asked(number)) return;
    tell("overview-note", `Loading ${day ? `what was settled on ${day}` : state}…`);
    const [page, failed] = await listAll(state, MOST_PAGES, day);
    if (failed) return tell("overview-note", `The lists could not be read. ${explain(failed)}`);
    found.push(page);
  }
  if (asked(number)) draw(found, days);
}

function draw([open, review, ...settled], days) {
  const isWhole = [open, review, ...settled].every((page) => page.isWhole);
  tell("overview-note", `Read ${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC. ${open.records.length} open, ${review.records.length} in review.${isWhole ? "" : ` Of each list and day the first ${MOST_PAGES * 100}.`}`);
  const all = settled.flatMap((page) => page.records);
  const times = all.filter((one) => one.requested_at).map((one) => (Date.parse(one.settled_at) - Date.parse(one.requested_at)) / 1000);
  const ages = open.records.map((one) => (Date.now() - Date.parse(one.requested_at ?? one.history[0].at)) / 1000);
  const perDay = settled.map(({ records }, at) => [
    h("a", { href: linkToList({ state: "settled", day: days[at], cursor: null, begins: "" }) }, days[at]),
    ["voided", "failed"].map((state) => records.filter((one) => one.state === state).length),
  ]);
  replace($("charts"),
    chart("Settled a day by outcome", ["voided", "failed"], perDay),
    chart("Time to settle", ["count"], steps(times)),
    chart("Open by age", ["count"], steps(ages)));
}

const steps = (seconds) => STEPS.map(([limit, name], at) => [name, [seconds.filter((one) => one < limit && one >= (STEPS[at - 1]?.[0] ?? -Infinity)).length]]);

function chart(title, names, rows) {
  const most = Math.max(1, ...rows.map(([, counts]) => counts.reduce((sum, one) => sum + one, 0)));
  return h("figure", null, h("figcaption", null, h("h3", null, title)),
    h("table.chart", null,
      names.length > 1 && h("thead", null, h("tr", null, h("th", { scope: "col" }, "day"), names.map((name) => h("th", { scope: "col" }, name)), h("td", null))),
      h("tbody", null, rows.map(([label, counts]) => h("tr", null, h("th", { scope: "row" }, label), counts.map((one) => h("td.number", null, one)), h("td.bar", null, bar(counts, names, most)))))));
}

function bar(counts, names, most) {
  let x = 0;
  const parts = counts.map((count, at) => {
    const part = drawing("rect", { class: names[at], x, width: (count * 100) / most, height: 10 });
    x += (count * 100) / most;
    return part;
  });
  return drawing("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, parts);
}

async function readEvents(number) {
  const answer = await fetch("/console/events.json", { cache: "no-store" });
  const { events } = await answer.json();
  const settled = events.filter(({ event }) => event["detail-type"] === "void.settled").reverse().slice(0, 50);
  if (!asked(number)) return;
  replace($("left"), h("h3", null, "Events that have left"),
    settled.length === 0
      ? h("p.quiet", null, "None yet: `void.settled` leaves when a void is settled.")
      : table("Events", ["time", "order", "state", "reason", "by", "version", "id", "posts"], settled.map(({ event: { time, detail }, posts }) => {
          const id = decodeURIComponent(detail.order_id);
          return [utc(time), h("a", { href: linkTo(id) }, id), detail.state, detail.reason, detail.by, detail.version, detail.id, posts.join(", ")];
        })));
}
