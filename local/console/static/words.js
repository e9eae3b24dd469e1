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
};

export const BECAME = {
  voided: "The hold is released",
  failed: "It failed",
  pending: "Financial Line works on it",
  unknown: "The outcome is not known",
  submitting: "Sent",
};
