// The console: the list of voids, one void, the overview and the form, each in its own file. Here: which of them is shown,
// how often it is read, and what is said while the service does not answer.

import { Unanswered, config, isLocal, wrongWith } from "./api.js";
import { startDeciding } from "./decide.js";
import { isBusy, refreshDetail, show, startDetail } from "./detail.js";
import { $, moment, tell } from "./dom.js";
import { buildForm, propose } from "./form.js";
import { refreshList, showPlace, startList } from "./list.js";
import { showOverview } from "./overview.js";
import { remember } from "./remembered.js";
import { linkTo, linkToList, read } from "./route.js";

let place = { view: "start", order: null, project: null };
let lastAnswer = null;

// ---- which page -----------------------------------------------------------------------------------------------

const NAME = config.live ? config.environment.toUpperCase() : config.environment;

function nameThePlace() {
  $("environment").textContent = config.live ? `${NAME}: real money` : NAME;
  document.body.dataset.live = String(Boolean(config.live));
  $("to-new").hidden = !config.voids;
  $("to-reference").hidden = !isLocal;
}

function route() {
  if (location.hash === "#detail") return $("detail").focus();
  const next = read();
  const moved = next.order !== place.order || next.project !== place.project || next.view !== place.view;
  place = next;
  document.body.dataset.view = place.view;
  const isForm = place.view === "new" || (place.view === "list" && config.voids && isLocal);
  const parts = { new: isForm && config.voids, void: place.view === "order", overview: place.view === "overview" };
  for (const [id, isShown] of Object.entries(parts)) $(id).hidden = !isShown;
  $("start").hidden = Object.values(parts).includes(true);
  document.title = `${isLocal ? "" : `${NAME} · `}${place.view === "order" ? `Order ${place.order} · Voids` : place.view === "overview" ? "Overview · Voids" : "Voids"}`;
  $("back").href = linkToList();
  for (const [id, isHere] of [["to-overview", place.view === "overview"], ["to-list", place.view !== "overview"]]) {
    if (isHere) $(id).setAttribute("aria-current", "page");
    else $(id).removeAttribute("aria-current");
  }
  showPlace(place);
  if (moved) enter();
  readNow();
}

function enter() {
  show(place.view === "order" ? place.order : null, place.project);
  showOverview(place.view === "overview");
  if (place.view === "order") $("detail").focus();
  if (["new", "list"].includes(place.view)) propose();
  if (place.view === "new") $("new-title").focus();
}

function find(event) {
  event.preventDefault();
  const id = $("find-id").value;
  const wrong = wrongWith(id);
  tell("find-problem", wrong);
  if (wrong) return;
  remember(id);
  location.hash = linkTo(id);
}

// ---- how often ------------------------------------------------------------------------------------------------

let wake = () => {};
let isDue = false; // asked for while something was being read

function readNow() {
  isDue = true;
  wake();
}

/** Often while something can still happen, seldom otherwise, never while nobody looks. */
function pause() {
  const calm = isLocal ? [600, 3000] : [3000, 10_000];
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, isDue ? 0 : calm[isBusy() ? 0 : 1]);
  });
}

async function keepFresh() {
  for (let turn = 0; ; turn += 1) {
    isDue = false;
    if (!document.hidden) await refresh(turn);
    await pause();
  }
}

let listIsDue = true;

async function refresh(turn) {
  try {
    await refreshDetail();
    if (listIsDue || turn % 3 === 0 || place.view !== "order") {
      listIsDue = false;
      await refreshList();
    }
    lastAnswer = Date.now();
    connection("live", null);
  } catch (problem) {
    if (!(problem instanceof Unanswered)) console.error(problem);
    const what = problem instanceof Unanswered ? problem.message : "Something in this page failed: load it again.";
    connection("lost", `${what}${lastAnswer ? ` What is shown is from ${moment(lastAnswer)}.` : ""}`);
  }
}

function connection(state, sentence) {
  $("connection").textContent = state === "live" ? "live" : "no answer";
  $("connection").className = `connection ${state}`;
  tell("trouble", sentence);
}

// ---- start ----------------------------------------------------------------------------------------------------

nameThePlace();
buildForm();
startDetail(readNow);
startDeciding(readNow);
startList(() => {
  listIsDue = true;
  readNow();
});
$("find").addEventListener("submit", find);
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", readNow);
route();
void keepFresh();
