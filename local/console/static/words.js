// What states, reasons and evidence mean, in words.

export const OPEN = new Set(["submitting", "unknown", "pending"]);
export const STATES = new Set([...OPEN, "failed", "voided"]);

export const MEANING = {
  submitting: "The intent is stored; one void is on its way to Financial Line.",
  unknown: "The answer to the void was lost, or says nothing certain. The service looks the order up until it knows; it sends nothing again.",
  pending: "Financial Line is working on it.",
  failed: "The hold was not released.",
  voided: "The hold is released.",
};

export const REASONS = {
  refused: "Financial Line refused it, for good.",
  "already-captured": "The money was captured: a refund is needed, not a void.",
  "order-not-found": "Financial Line does not know the order.",
  "not-executed": "Nothing was voided within 24 hours.",
  "not-sent": "Nothing was sent. The same request may be repeated.",
  throttled: "Too many requests; nothing was done. The same request may be repeated.",
  "provider-credentials": "Financial Line refuses our credentials. Nothing was voided; the same request may be repeated.",
};

export const EVIDENCE = {
  request: "request",
  answer: "answer to the void",
  webhook: "webhook",
  query: "order query",
  operator: "operator",
};

export const BECAME = {
  voided: "The hold is released",
  failed: "It failed",
  pending: "Financial Line works on it",
  unknown: "The outcome is not known",
  submitting: "Sent",
};

/** What an operator has to look at. The runbook has a heading for each. */
export const REVIEWS = {
  "open-for-a-day": "It is open for more than a day.",
  vanished: "The provider's list no longer shows what was under way.",
  "unknown-operation": "The provider lists an operation of a kind that the service does not know.",
  "undocumented-status": "An operation has a status that the provider does not document.",
  "other-project": "Its messages name another project.",
  "other-currency": "It was voided in another currency.",
  "fields-contradict": "Two statements of the provider about one operation differ.",
  "second-void": "The provider shows more than one executed void.",
  "another-hold": "It was voided, and another hold of the same order may stand.",
  corrected: "It was reported as failed, and was executed after all.",
  "decision-contradicted": "The provider's list contradicts the operator's decision.",
  "attempts-used-up": "A request was refused because the order has used up its attempts.",
  "too-many-webhooks": "There were more webhooks than a record keeps.",
};

export const DECISIONS = {
  reviewed: "Reviewed: what had to be looked at was",
  "not-voided": "Not voided: the hold was not released",
  voided: "Voided: the hold was released",
};
