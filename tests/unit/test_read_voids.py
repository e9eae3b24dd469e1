"""GET /v1/voids/{order_id} and GET /v1/voids: reading one, refreshing it, and paging through what is open or was settled."""

import json
import re
from copy import replace
from typing import Any

import pytest

import decide
import read_voids
import submit_void
from payments.facts import State
from payments.reviews import Reason, Review
from receive_webhook import receive
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import POS_ID, Scene, fields, signed
from tests.unit.conftest import CONTRACT, Logged, Said, said

DAY = {"state": "settled", "day": "2026-11-18"}


def handle(order: str | None = None, context: Any = None, **query: str) -> dict[str, Any]:
    path = {"order_id": order} if order is not None else None
    more = {"requestContext": {"requestId": "request-1", **context}} if context is not None else {}
    event = make.gateway_event(None, {}, pathParameters=path, queryStringParameters=query or None, **more)
    return read_voids.handler(event, None)


def get(order: str | None = None, **query: str) -> Said:
    return said(handle(order, None, **query))


def report(scene: Scene, *statuses: str, **more: Any) -> None:
    for status in statuses:
        scene.wait(1)
        receive(scene.storage, *signed(fields(status, **more)))


BAD: dict[str, list[tuple[str | None, dict[str, str]]]] = {
    "/refresh": [("123", {"refresh": text}) for text in ("1", "True", "")],
    "/state": [(None, {"state": text}) for text in ("open", "", "voided")],
    "/limit": [(None, {"limit": text}) for text in ("0", "101", "-1", "1.5", "x", "", "١", "99999", "00100", "9" * 5_000)],
    "/cursor": [(None, {"cursor": text}) for text in ("x", "!!", "e30", "bnVsbA", "ї", "a" * 20_000, "W10")],
    "/day": [*((None, {"state": "settled", "day": text}) for text in ("", "2026-11", "2026-02-30", "20261118", "x" * 10)),
             (None, {"state": "settled"}), (None, {"day": "2026-11-18"})],
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "order", "query"), [(pointer, *each) for pointer, cases in BAD.items() for each in cases]
)
def test_what_breaks_a_rule_is_named(scene: Scene, pointer: str, order: str | None, query: dict[str, str]) -> None:
    answer = get(order, **query)
    assert (answer.status, [error["pointer"] for error in answer.document["errors"]]) == (400, [pointer])


def test_all_violations_are_said_at_once(scene: Scene) -> None:
    assert {each["pointer"]: each["detail"] for each in get(limit="x", state="all", day="y").document["errors"]} == {
        "/state": "must be unsettled or review or settled", "/limit": "must be a whole number from 1 to 100",
        "/day": "must be a UTC date, and is for `settled` only",
    }  # fmt: skip


def test_the_limits_are_those_of_the_contract() -> None:
    limits = {each["name"]: each["schema"] for each in CONTRACT["paths"]["/voids"]["get"]["parameters"]}
    assert (limits["limit"]["default"], limits["limit"]["maximum"]) == (read_voids.DEFAULT_LIMIT, read_voids.MOST)
    schemas = (CONTRACT["components"]["schemas"][f"{name}Request"]["properties"] for name in ("Void", "Decision"))
    longest = [each[name]["maxLength"] for each, name in zip(schemas, ("comment", "note"), strict=True)]
    assert longest == [submit_void.LONGEST_COMMENT, decide.LONGEST_NOTE]


# ---- one order -------------------------------------------------------------------------------------------------------


def test_an_order_has_its_webhooks_newest_last_with_the_digits_of_amounts_and_no_card(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    report(scene, "pending", "failure", card_mask="444455******1111")
    text = json.dumps(fields(card_mask="444455******1111")).replace('"amount": 100', '"amount": 100.00').encode()
    receive(scene.storage, *signed(text))
    body, shown = handle("123")["body"], get("123").document
    assert (body.count('"amount":100.00,'), "444455" in body) == (2, False)
    assert (shown["state"], shown["webhooks_truncated"]) == ("voided", False)
    assert [each["status"] for each in shown["webhooks"]] == ["pending", "failure", "success"]


def test_a_void_that_another_instance_has_just_accepted_after_go_live_is_found(scene: Scene) -> None:
    assert get("123").status == 404
    scene.wait(6)
    live = "11111111-2222-3333-4444-555555555555"
    scene.secrets.rotate(pos_id=live)
    scene.put(replace(make.submitting(scene.at), pos_id=live))
    assert get("123").status == 200


@pytest.mark.parametrize(("client", "status"), [("shop", 200), ("stranger", 403), (None, 403)])
def test_a_client_whose_token_is_not_on_the_list_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, client: str | None, status: int
) -> None:
    scene.put(make.submitting(scene.at))
    monkeypatch.setenv("TOKEN_CALLERS", "shop,reader")
    claims = {"claims": {"client_id": client, "iss": "https://i"}}
    for authorizer in (claims, {"jwt": claims}):
        assert handle("123", {"authorizer": authorizer})["statusCode"] == status


def test_only_what_a_refresh_asked_is_logged(scene: Scene, logged: Logged) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [make.view(make.operation())]
    assert {get("123", refresh="true").status for _ in range(2)} == {200}
    (line,) = logged()
    expected = {"message": "void refreshed", "order_id": "123", "state": "voided"}
    assert ({name: line[name] for name in expected}, line["seconds"] >= 0) == (expected, True)


# ---- lists -----------------------------------------------------------------------------------------------------------

LISTS: list[tuple[dict[str, str], list[str]]] = [
    *((query, ["order-0", "order-1", "order-2"]) for query in ({}, {"state": "unsettled"}, {"cursor": "", "limit": "0100"})),
    ({"state": "review"}, ["strange"]), (DAY, ["done", "strange"]), ({"state": "settled", "day": "2026-11-17"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("query", "orders"), LISTS)
def test_a_list_has_what_was_asked_for(scene: Scene, query: dict[str, str], orders: list[str]) -> None:
    for index in range(3):
        scene.put(make.submitting(scene.at + index, order_id=f"order-{index}"))
    scene.put(pipe.order_in(State.VOIDED, "done"))
    scene.put(replace(pipe.order_in(State.VOIDED, "strange"), reviews=(Review(Reason.SECOND_VOID, "order", 1),)))
    answer = get(**query)
    shown = [void["order_id"] for void in answer.document["voids"]]
    assert (answer.status, answer.document["cursor"]) == (200, None)
    assert (sorted(shown) if "day" in query else shown) == orders


@pytest.mark.parametrize("limit", [1, 2, 7, 30, 100])
@pytest.mark.parametrize("same_moment", [True, False])
@pytest.mark.parametrize("more", [{}, DAY], ids=["open", "of a day"])
def test_pages_have_no_gap_and_no_repetition(scene: Scene, limit: int, same_moment: bool, more: dict[str, str]) -> None:
    names, seen = [f"o{number:02}" for number in range(30)], list[str]()
    cursor: str | None = ""
    for number, name in enumerate(names):
        at, voided = scene.at + (0 if same_moment else number), pipe.order_in(State.VOIDED, name)
        history = (*voided.history[:-1], replace(voided.history[-1], at=at))
        scene.put(replace(voided, history=history) if more else make.submitting(at, order_id=name))
    while cursor is not None and len(seen) <= 30:
        page = get(limit=str(limit), cursor=cursor, **more).document
        seen += [void["order_id"] for void in page["voids"]]
        cursor = page["cursor"]
        assert cursor is None or (len(page["voids"]) == limit and re.fullmatch(r"[A-Za-z0-9_-]+", cursor))
    assert (sorted(seen) if same_moment else seen) == names


def test_a_list_says_which_project_each_void_belongs_to(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    scene.put(replace(make.submitting(scene.at), pos_id="an-earlier-project"))
    assert {void["pos_id"] for void in get().document["voids"]} == {POS_ID, "an-earlier-project"}
