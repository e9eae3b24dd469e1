// The console: the list of voids, one void, and the form, each in its own file. Here: which of them is shown, how often
// it is read, and what is said while the service does not answer.

import { Unanswered, wrongWith } from "./api.js";
import { isBusy, refreshDetail, show, startDetail } from "./detail.js";
import { $, moment, tell } from "./dom.js";
import { buildForm, propose } from "./form.js";
import { linkTo, refreshList, select, startList } from "./list.js";
import { remember } from "./remembered.js";

let order = null; // {id, project} that is shown; null: the form
let lastAnswer = null;

// ---- which page -----------------------------------------------------------------------------------------------

/** `#order=…&project=…` -> {id, project}; anything else is null. */
function orderOf(hash) {
  const found = /^#order=([^&]*)(?:&project=([^&]*))?$/.exec(hash);
  if (!found) return null;
  try {
    return { id: decodeURIComponent(found[1]), project: found[2] ? decodeURIComponent(found[2]) : null };
  } catch {
    return null; // not an encoded id
  }
}

function route() {
  if (location.hash === "#detail") return $("detail").focus();
  const next = orderOf(location.hash);
  const moved = JSON.stringify(next) !== JSON.stringify(order);
  order = next;
  document.body.dataset.view = order ? "order" : location.hash === "#new" ? "new" : "list";
  $("new").hidden = order !== null;
  $("void").hidden = order === null;
  document.title = order ? `Order ${order.id} · Voids` : "Voids";
  select(order?.id, order?.project);
  if (!order) {
    show(null);
    propose();
    if (location.hash === "#new") $("new-title").focus();
  } else if (moved) {
    show(order.id, order.project);
    $("detail").focus();
  }
  readNow();
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
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, isDue ? 0 : isBusy() ? 600 : 3000);
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
    if (listIsDue || turn % 3 === 0 || !order) {
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

buildForm();
startDetail(readNow);
startList(() => {
  listIsDue = true;
  readNow();
});
$("find").addEventListener("submit", find);
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", readNow);
route();
void keepFresh();
