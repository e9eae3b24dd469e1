"""Every recording is held by a test, or stands here with the reason why not."""

import ast
from pathlib import Path

from tests.integration.recorded import BY_ID, TOPICS

TESTS = Path(__file__).parents[1]

NOT_FOLLOWED = {
    # Of the event
    "event-percent-note": "The documentation says that a percent sign is encoded again; three recordings and three "
    "reports say that nothing is decoded. The recordings are followed; lambda_http.order_id decodes once in any case.",
    # Of the answer
    "response-binary-accept": "The API has no binary media types (tests/infra/test_api.py): text passes as it is.",
    "response-bad-base64": "As response-binary-accept.",
    "response-integration-failure-status": "For an integration that is no Lambda proxy; the stack sets the status.",
    # Of the table
    "transaction-cancelled-message": "The service makes no transaction: everything about an order is one item.",
    "transaction-cancelled-item": "As transaction-cancelled-message.",
    "transaction-all-failures-listed": "As transaction-cancelled-message.",
    "transaction-one-item-twice": "As transaction-cancelled-message.",
    "transaction-token-replayed": "As transaction-cancelled-message.",
    "transaction-token-mismatch": "As transaction-cancelled-message.",
    "transaction-token-length": "As transaction-cancelled-message.",
    "transaction-token-lifetime": "As transaction-cancelled-message.",
    "transaction-conflict": "As transaction-cancelled-message.",
    "query-consistent-lsi": "The table has no local secondary index.",
    "start-key-spare-attribute": "The engine takes such a key (test_engine_contract.py says so). payments.store makes "
    "start keys from a cursor of exactly the four attributes and refuses any other with 400.",
    "stream-ttl": "Only quarantined messages expire, and the pipe's filter does not pass them (tests/infra).",
    "stream-filter-prefix-filter": "Our patterns have no prefix.",
    "stream-filter-numeric-filter": "Our patterns have no number.",
    # Of the secret
    "secret-without-value": "The engine answers a secret without a value (test_engine_contract.py says so); the unit "
    "tests of payments.secret have AWS's answer.",
    "secret-stage-of-other-version": "The service asks for a stage, never for a version.",
    # Of the schedule
    "async-failure-without-retry": "The local run has no queue behind the schedule: a failed run is noted in the log "
    "of the functions. tests/infra/test_functions.py holds what is configured.",
    "async-failure-default-retries": "As async-failure-without-retry; there are no retries.",
    "async-too-old": "As async-failure-without-retry.",
    "async-zero-concurrency": "As async-failure-without-retry.",
    "async-dead-letter-queue": "The stack has a destination, whose form differs.",
    # Of Lambda
    "task-directory": "Locally the functions belong to who runs them. tests/infra/test_bundle.py holds the modes.",
    "package-permissions": "As task-directory.",
    "error-reserved-concurrency": "A laptop has no concurrency to reserve; further requests wait.",
}

TOPICS_ELSEWHERE = {
    "f-eventbridge-and-pipes": ("infra/test_events.py", "The local run has no bus and no pipe: what leaves must be "
                                "safe whatever a pipe does with it, and is filled there as AWS documents."),
    "h-sns": ("infra/test_monitoring.py", "The local run has no alarms."),
}  # fmt: skip


def named() -> set[str]:
    """The ids in calls of `vector` and `vectors`, in all tests."""
    return {
        argument.value
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("vector", "vectors")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_every_recording_is_tested_or_has_its_reason() -> None:
    elsewhere = {each["id"] for topic in TOPICS_ELSEWHERE for each in TOPICS[topic]}
    assert set(BY_ID) - elsewhere == named() | set(NOT_FOLLOWED)


def test_nothing_is_both_tested_and_excused() -> None:
    assert not named() & set(NOT_FOLLOWED)


def test_a_reason_says_something_or_names_one_that_does() -> None:
    for reason in NOT_FOLLOWED.values():
        assert not reason.startswith("As ") or reason.removeprefix("As ").partition(";")[0].strip(".") in NOT_FOLLOWED


def test_the_tests_that_hold_a_topic_elsewhere_exist() -> None:
    for file, reason in TOPICS_ELSEWHERE.values():
        assert (TESTS / file).exists()
        assert reason
