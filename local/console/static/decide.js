// An operator's decision about the void that is shown: about the record as it stood when the form was first touched.

import { config, decideVoid, explain } from "./api.js";
import { known, journal } from "./detail.js";
import { $, h, tell } from "./dom.js";
import { DECISIONS } from "./words.js";

let about = null; // {id, revision} since the form was touched
let wake = () => {};

/** Offers the form where there is something to decide about. */
export function offer(record) {
  $("decide").hidden = !config.decides || !record;
  for (const input of $("deciding").elements.decision ?? []) {
    input.disabled = (input.value === "reviewed" && !record?.review) || (input.value === "voided" && record?.state === "voided");
  }
}

export function forgetDecision() {
  about = null;
  $("decide").open = false;
  $("deciding").reset();
  tell("decide-problem", null);
}

export function startDeciding(onChange) {
  wake = onChange;
  $("decisions").append(...Object.entries(DECISIONS).map(([value, words]) =>
    h("label.choice", null, h("input", { type: "radio", name: "decision", value, required: true }), ` ${words}`)));
  $("deciding").addEventListener("input", () => (about ??= now()));
  $("deciding").addEventListener("submit", (event) => {
    event.preventDefault();
    void decide(new FormData(event.target));
  });
}

const now = () => ({ id: known()?.order_id, revision: known()?.revision });

async function decide(form) {
  const { id, revision } = about ?? now();
  try {
    const answer = await decideVoid(id, form.get("decision"), revision, form.get("note"));
    if (answer.ok) {
      journal(id, `Decided: ${form.get("decision")}`);
      return forgetDecision();
    }
    if (answer.json?.type?.endsWith("changed-meanwhile")) about = null; // the next try is about what is shown then
    tell("decide-problem", explain(answer));
  } catch (problem) {
    tell("decide-problem", problem.message);
  }
  wake();
}
