"""Every recording is held by a test, or stands here with the reason why not."""

import re
from pathlib import Path

from tests.integration.recorded import BY_ID, TOPICS

TESTS = Path(__file__).parents[1]

NOT_FOLLOWED = {
    ("event-percent-note",): "The documentation says that a percent sign is encoded again; three recordings and three "
    "reports say that nothing is decoded. The recordings are followed; a function decodes once in any case.",
    ("response-binary-accept", "response-bad-base64"): "The API has no binary media types (tests/infra/test_api.py).",
    ("response-integration-failure-status",): "For an integration that is no Lambda proxy; the stack sets the status.",
    ("response-status-only", "response-bool-header", "response-headers-null", "response-empty-object",
     "response-headers-only", "response-base64-no-media-types", "response-multi-valid", "response-multi-and-single",
     "response-multi-and-single-other-case", "response-status-digits-as-text", "response-remapped-http-proxy",
     "response-remapped-table"):
    "AWS takes it, or changes it on its way out; no function answers so, and the local gateway answers 502 to one that "
    "would (test_recorded_gateway.py): a caller never sees the difference.",
    ("transaction-cancelled-message", "transaction-cancelled-item", "transaction-all-failures-listed",
     "transaction-one-item-twice", "transaction-token-replayed", "transaction-token-mismatch",
     "transaction-token-length", "transaction-token-lifetime", "transaction-conflict"):
    "The service makes no transaction: everything about an order is one item.",
    ("query-consistent-lsi",): "The table has no local secondary index.",
    ("start-key-spare-attribute",): "The engine takes such a key (test_engine_contract.py says so). payments.store makes "
    "start keys from a cursor of exactly the four attributes and refuses any other with 400.",
    ("stream-ttl",): "The pipe's filter passes no record that expired (tests/infra).",
    ("stream-filter-prefix-filter", "stream-filter-numeric-filter"): "Our patterns have no prefix and no number.",
    ("secret-without-value",): "The engine answers a secret without a value (test_engine_contract.py says so); the unit "
    "tests of payments.secret have AWS's answer.",
    ("secret-stage-of-other-version",): "The service asks for a stage, never for a version.",
    ("async-failure-without-retry", "async-failure-default-retries", "async-too-old", "async-zero-concurrency",
     "async-dead-letter-queue"): "The local run has no queue behind the schedule: a failed run is noted in the log of the "
    "functions. tests/infra/test_functions.py holds what is configured.",
    ("task-directory", "package-permissions"): "Locally the functions belong to who runs them. "
    "tests/infra/test_bundle.py holds the modes.",
    ("error-reserved-concurrency",): "A laptop has no concurrency to reserve; further requests wait.",
}  # fmt: skip

TOPICS_ELSEWHERE = {
    "f-eventbridge-and-pipes": ("infra/test_events.py", "The local run has no bus and no pipe: what leaves must be "
                                "safe whatever a pipe does with it, and is filled there as AWS documents."),
    "h-sns": ("infra/test_monitoring.py", "The local run has no alarms."),
}  # fmt: skip


def test_every_recording_is_tested_or_has_its_reason_and_not_both() -> None:
    elsewhere = {each["id"] for topic in TOPICS_ELSEWHERE for each in TOPICS[topic]}
    files = [file for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    named = {name for file in files for name in re.findall(r'"([a-z0-9-]+)"', file.read_text(encoding="utf-8"))}
    excused = {name for names in NOT_FOLLOWED for name in names}
    assert set(BY_ID) - elsewhere == (named & set(BY_ID) - elsewhere) | excused
    assert not named & excused
    assert all((TESTS / file).exists() and reason for file, reason in TOPICS_ELSEWHERE.values())
