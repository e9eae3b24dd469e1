// The form that holds an order in the sandbox and voids it: the only thing that this page changes.

import { config, sandbox, submitVoid, wrongWith } from "./api.js";
import { journal } from "./detail.js";
import { $, h, tell } from "./dom.js";
import { LABELS, WORDS } from "./faults.js";
import { linkTo } from "./list.js";
import { remember } from "./remembered.js";

export function buildForm() {
  for (const [kind, names] of Object.entries(config.faults)) {
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
export const propose = () => ($("create").elements.order_id.value = `order-${Date.now().toString(36)}`);

async function create(form) {
  const [id, currency, comment, digits] = ["order_id", "currency", "comment", "amount"].map((name) => form.get(name).toString());
  const faults = Object.fromEntries(Object.keys(config.faults).map((kind) => [kind, form.get(kind)]));
  const wrong = wrongWith(id);
  tell("problem", wrong);
  if (wrong) return;
  try {
    // Written by hand, so that the digits of the amount are those that were typed.
    await sandbox("POST", ["holds"], `{"order_id":${JSON.stringify(id)},"currency":${JSON.stringify(currency)},"amount":${digits.replace(/^0+(?=\d)/, "")}}`);
    await sandbox("PUT", ["faults", id], faults);
  } catch (problem) {
    return tell("problem", problem.message);
  }
  remember(id);
  journal(id, `Hold of ${digits} ${currency} created; faults: ${Object.entries(faults).map(([kind, name]) => `${kind} ${name}`).join(", ")}`);
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
