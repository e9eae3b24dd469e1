// The sandbox's faults in words. What is listed comes from the sandbox; a fault without words here shows its name only.

export const LABELS = { answer: "Answer to the void", webhook: "Webhook", query: "Answer to a later query" };

export const WORDS = {
  answer: {
    success: "Voids at once and says so.",
    pending: "Says pending, and stays so.",
    pending_then_failure: "Says pending; a second later the void fails.",
    failure: "Refuses the void, for good.",
    timeout_executed: "Voids, but the answer does not come: 10 s until the service gives up waiting.",
    timeout_not_executed: "Does nothing, and the answer does not come: 10 s until the service gives up waiting.",
    reset_executed: "Voids, then resets the connection.",
    reset_not_executed: "Does nothing, then resets the connection.",
    http_400: "Refuses with 400.",
    http_401: "Refuses our credentials (S-403): nothing is voided.",
    http_404: "Says 404 without a code.",
    http_429: "Too many requests: nothing is done.",
    http_500_executed: "Voids, then answers 500.",
    http_500_not_executed: "Does nothing, then answers 500.",
    http_503: "Does nothing and answers 503.",
    garbage: "Voids, then answers something that is not JSON.",
    truncated: "Voids, then sends half an answer.",
    redirect: "Voids, then redirects.",
    wrong_order: "Voids, then answers for another order.",
  },
  webhook: {
    once: "100 ms after the void.",
    twice: "The same webhook twice.",
    none: "Never sent.",
    before_answer: "Delivered before the answer to the void.",
    forged: "With a wrong signature: must be refused.",
    unreadable: "Genuine, but not JSON: kept in quarantine.",
    failure_then_success: "First one says failure, then one says success.",
    success_then_failure: "First one says success, then one says failure.",
  },
  query: {
    ok: "Tells the truth.",
    not_found: "Says 404, which proves nothing.",
    http_500: "Answers 500.",
    timeout: "Does not answer.",
    stale: "Shows the order as it was before the void.",
    wrong_order: "Answers for another order.",
  },
};
