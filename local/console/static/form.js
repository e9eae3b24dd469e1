// The form that holds an order in the sandbox and voids it: the only thing that this page changes.

import { config, isLocal, sandbox, submitVoid, wrongWith } from "./api.js";
import { journal } from "./detail.js";
import { $, h, tell } from "./dom.js";
import { LABELS, WORDS } from "./faults.js";
import { remember } from "./remembered.js";
import { linkTo } from "./route.js";

export function buildForm() {
  for (const part of document.querySelectorAll(isLocal ? "[data-deployed]" : "[data-sandbox]")) part.remove();
  if (!isLocal) {
    $("new-title").textContent = `Void an order in ${config.environment}`;
    $("new-words").textContent = "Releases the hold of this order for good, through the API, signed with your own role.";
    $("create").querySelector("button").textContent = "Void";
  }
  for (const [kind, names] of Object.entries(config.faults ?? {})) {
    const words = h("small", { id: `words-${kind}` });
    const select = h("select", { name: kind, "aria-describedby": `words-${kind}` },
      names.map((name) => h("option", { value: name, selected: name === config.defaults[kind] }, name)));
    const explain = () => (words.textContent = WORDS[kind]?.[select.value] ?? "");
    select.addEventListener("change", explain);
    explain();
    $("faults").append(h("label", null, LABELS[kind] ?? kind, " ", select, words));
  }
  $("create").addEventListener("submit", (event) => {
    event.preventDefault();
    void create(new FormData(event.target));
  });
}

/** Another order each time the form is opened. */
export const propose = () => ($("create").elements.order_id.value = isLocal ? `order-${Date.now().toString(36)}` : "");

async function create(form) {
  const [id, currency, comment] = ["order_id", "currency", "comment"].map((name) => form.get(name).toString());
  const isConfirmed = isLocal || form.get("confirm") === config.environment;
  const wrong = wrongWith(id) ?? (isConfirmed ? null : `Type ${config.environment} to confirm: this releases a real hold.`);
  tell("problem", wrong);
  if (wrong || (isLocal && !(await hold(id, currency, form)))) return;
  remember(id);
  location.hash = linkTo(id);
  journal(id, "POST /v1/voids");
  const request = { order_id: id, order_currency: currency, ...(comment ? { comment } : {}) };
  try {
    const answer = await submitVoid(request, crypto.randomUUID());
    const what = answer.json?.state ?? answer.json?.title ?? "";
    journal(id, `Answer ${answer.status} after ${answer.ms} ms${what ? `: ${what}` : ""}`, answer.ok ? "page" : "problem");
  } catch (problem) {
    journal(id, `${problem.message} Whether the void was sent, the record says.`, "problem");
  }
}

/** A hold in the sandbox, and how the sandbox will behave; false: it says no. */
async function hold(id, currency, form) {
  const [digits, faults] = [form.get("amount").toString(), Object.fromEntries(Object.keys(config.faults).map((kind) => [kind, form.get(kind)]))];
  try {
    // Written by hand, so that the digits of the amount are those that were typed.
    await sandbox("POST", ["holds"], `{"order_id":${JSON.stringify(id)},"currency":${JSON.stringify(currency)},"amount":${digits.replace(/^0+(?=\d)/, "")}}`);
    await sandbox("PUT", ["faults", id], faults);
  } catch (problem) {
    tell("problem", problem.message);
    return false;
  }
  journal(id, `Hold of ${digits} ${currency} created; faults: ${Object.entries(faults).map(([kind, name]) => `${kind} ${name}`).join(", ")}`);
  return true;
}
