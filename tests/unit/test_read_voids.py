"""GET /v1/voids/{order_id} and GET /v1/voids: reading one, refreshing it, and paging through what is open or was settled."""

import json
from copy import replace
from typing import Any

import pytest

import read_voids
from payments.facts import State
from payments.messages import OrderView
from payments.orders import Order
from payments.reviews import Reason, Review
from receive_webhook import receive
from tests.fakes import pipe
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.conftest import Counted


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One order, and the function on it."""
    scene = Scene()
    monkeypatch.setattr(read_voids, "systems", lambda: scene.systems)
    return scene


def ask(order: str | None = None, **query: str) -> dict[str, Any]:
    path = {"order_id": order} if order is not None else None
    event = make.gateway_event(None, {}, pathParameters=path, queryStringParameters=query or None)
    return read_voids.handler(event, None)


def get(order: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
    answer = ask(order, **query)
    return answer["statusCode"], json.loads(answer["body"])


BAD = [
    *((order, {}, "/order_id") for order in ("%ff", "..", "0", "x" * 33, "%20a", "%0A", "e%CC%81", "a%ff")),
    *(("123", {"refresh": text}, "/refresh") for text in ("1", "True", "")),
    *((None, {"state": text}, "/state") for text in ("open", "", "voided")),
    *((None, {"limit": text}, "/limit") for text in ("0", "101", "-1", "1.5", "x", "", "١", "99999", "00100", "9" * 5_000)),
    *((None, {"cursor": text}, "/cursor") for text in ("x", "!!", "e30", "bnVsbA", "ї", "a" * 20_000, "W10")),
    *((None, {"state": "settled", "day": text}, "/day") for text in ("", "2026-11", "2026-02-30", "20261118", "x" * 10)),
    (None, {"state": "settled"}, "/day"),
    (None, {"day": "2026-11-18"}, "/day"),
]  # fmt: skip


@pytest.mark.parametrize(("order", "query", "pointer"), BAD)
def test_what_breaks_a_rule_is_named(scene: Scene, order: str | None, query: dict[str, str], pointer: str) -> None:
    status, said = get(order, **query)
    assert (status, [error["pointer"] for error in said["errors"]]) == (400, [pointer])


def test_all_violations_are_said_at_once(scene: Scene) -> None:
    said = get(limit="x", state="all", day="y")[1]
    assert {each["pointer"]: each["detail"] for each in said["errors"]} == {
        "/state": "must be unsettled or review or settled", "/limit": "must be a whole number from 1 to 100",
        "/day": "must be a UTC date, and is for `settled` only",
    }  # fmt: skip


# ---- one order -------------------------------------------------------------------------------------------------------


def test_an_order_of_which_no_void_is_known_is_404(scene: Scene) -> None:
    receive(scene.storage, *make.signed(make.fields("success", "auth")))
    status, said = get("123")
    assert (status, said["type"], said["order_id"]) == (404, "urn:void-service:problem:not-found", "123")
    assert said["detail"] == "No void was requested or reported for this order."


@pytest.mark.parametrize(("status", "state"), [("pending", "pending"), ("failure", "failed"), ("success", "voided")])
def test_a_void_of_the_portal_is_a_record_once_it_was_reported(scene: Scene, status: str, state: str) -> None:
    receive(scene.storage, *make.signed(make.fields(status)))
    code, said = get("123")
    assert (code, said["state"], said["attempt"], said["attempts"]) == (200, state, 0, [])
    assert scene.record().due_at == (None if state == "voided" else scene.at)


def test_an_order_has_its_record_and_its_webhooks_newest_last(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    for status in ("pending", "failure", "success"):
        scene.wait(1)
        receive(scene.storage, *make.signed(make.fields(status, card_mask="444455******1111")))
    said = get("123")[1]
    assert (said["state"], said["webhooks_truncated"]) == ("voided", False)
    assert [webhook["status"] for webhook in said["webhooks"]] == ["pending", "failure", "success"]
    assert "444455" not in json.dumps(said)


@pytest.mark.parametrize("number", [99, 100, 101])
def test_a_hundred_webhooks_are_shown_and_one_more_is_said(scene: Scene, number: int) -> None:
    scene.put(make.submitting(scene.at))
    for index in range(number):
        scene.wait(1)
        receive(scene.storage, *make.signed(make.fields("pending", comment=str(index))))
    said = get("123")[1]
    assert [each["provider"]["comment"] for each in said["webhooks"]] == [str(n) for n in range(min(number, 100))]
    assert said["webhooks_truncated"] is (number > 100)
    assert ("too-many-webhooks" in [each["reason"] for each in said["reviews"]]) is (number > 100)


def test_amounts_keep_their_digits(scene: Scene) -> None:
    data = json.dumps(make.fields()).replace('"amount": 100', '"amount": 100.00').encode()
    receive(scene.storage, *make.signed(data))
    assert ask("123")["body"].count('"amount":100.00,') == 2


@pytest.mark.parametrize(
    ("order", "wait"),
    [
        (make.submitting(), "25"),
        (pipe.order_in(State.VOIDED), None),
        (pipe.order_in(State.FAILED), None),
        (replace(make.submitting(), reviews=(Review(Reason.OPEN_FOR_A_DAY, "attempt 1", 1),)), "3600"),
    ],
    ids=["open", "voided", "failed", "waits for an operator"],
)
def test_a_read_says_when_it_is_worth_to_read_again(scene: Scene, order: Order, wait: str | None) -> None:
    scene.put(order)
    assert ask("123")["headers"].get("Retry-After") == wait


def test_a_path_may_hold_any_order_percent_encoded(scene: Scene) -> None:
    scene.put(make.submitting(scene.at, order_id="a b/ї"))
    assert get("a%20b%2F%D1%97")[1]["order_id"] == "a b/ї"


def test_a_secret_out_of_reach_is_503(scene: Scene) -> None:
    scene.secrets.out_of_reach()
    assert get("123")[0] == 503


def test_a_void_that_another_instance_has_just_accepted_after_go_live_is_found(scene: Scene) -> None:
    assert get("123")[0] == 404
    scene.wait(6)
    scene.secrets.rotate(pos_id="11111111-2222-3333-4444-555555555555")
    scene.put(replace(make.submitting(scene.at), pos_id="11111111-2222-3333-4444-555555555555"))
    assert get("123")[0] == 200


def test_a_client_whose_token_is_not_on_the_list_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(make.submitting(scene.at))
    monkeypatch.setenv("TOKEN_CALLERS", "shop,reader")
    for client, status in (("shop", 200), ("stranger", 403), (None, 403)):
        for claims in (
            {"claims": {"client_id": client, "iss": "https://i"}},
            {"jwt": {"claims": {"client_id": client}}},
        ):
            context = {"requestId": "request-1", "authorizer": claims}
            event = make.gateway_event(None, {}, pathParameters={"order_id": "123"}, requestContext=context)
            assert read_voids.handler(event, None)["statusCode"] == status


# ---- refresh ---------------------------------------------------------------------------------------------------------


def test_a_refresh_asks_once_and_answers_what_it_learnt(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at))
    scene.wait(60)
    scene.provider.views = [make.view(make.operation())]
    for _ in range(2):
        assert get("123", refresh="true")[1]["state"] == "voided"
    assert len(scene.provider.asked) == 1
    assert counted() == {"VoidWithoutWebhook": 1}


def test_it_asks_at_most_every_five_seconds_and_only_if_wanted(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    assert get("123")[0] == get("123", refresh="false")[0] == 200
    scene.provider.views = [None, None]
    for _ in range(3):
        assert get("123", refresh="true")[0] == 200
    scene.wait(5)
    get("123", refresh="true")
    assert len(scene.provider.asked) == 2


def test_a_clock_that_was_set_back_does_not_forbid_it(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [None, None]
    get("123", refresh="true")
    scene.wait(-3_600)
    get("123", refresh="true")
    assert len(scene.provider.asked) == 2


def test_one_that_lost_its_lease_answers_the_newer_state(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))

    def overtake(name: str, _: object) -> None:
        if name == "put_item":
            scene.table.before = lambda *_: None
            receive(scene.storage, *make.signed(make.fields()))

    scene.table.before = overtake
    assert get("123", refresh="true")[1]["state"] == "voided"
    assert scene.provider.asked == []


def test_what_nobody_expected_of_it_is_counted_and_the_record_is_read(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [ZeroDivisionError("of somebody's text")]
    status, said = get("123", refresh="true")
    assert (status, said["state"]) == (200, "submitting")
    assert counted() == {"UnexpectedError": 1}


def test_a_write_of_it_that_got_no_answer_is_counted_as_trouble(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at))

    def lost() -> OrderView:
        scene.table.lose_next_answer("put_item", repeated=False)
        return make.view(make.operation(currency="EUR"))

    scene.provider.views = [lost]
    assert get("123", refresh="true")[0] == 200
    assert scene.record().review, "written, and nobody will count that review"
    assert counted() == {"StoreUnavailable": 1}


def test_a_failed_void_is_asked_about_and_corrected(scene: Scene, counted: Counted) -> None:
    scene.put(pipe.order_in(State.FAILED))
    scene.provider.views = [make.view(make.operation())]
    said = get("123", refresh="true")[1]
    assert (said["state"], said["corrected"]) == ("voided", True)
    assert counted() == {"VoidWithoutWebhook": 1, "VoidCorrected": 1, "VoidReview": 1}


def test_what_was_asked_is_logged_and_what_was_not_is_not(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [make.view(make.operation())]
    for _ in range(2):
        get("123", refresh="true")
    assert capsys.readouterr().out.count('"void refreshed"') == 1


# ---- lists -----------------------------------------------------------------------------------------------------------


def fill(scene: Scene, number: int) -> None:
    for index in range(number):
        scene.put(make.submitting(scene.at + index, order_id=f"order-{index}"))
    scene.put(pipe.order_in(State.VOIDED, "done"))
    scene.put(replace(pipe.order_in(State.VOIDED, "strange"), reviews=(Review(Reason.SECOND_VOID, "order", 1),)))


@pytest.mark.parametrize(
    ("query", "orders"),
    [
        ({}, ["order-0", "order-1", "order-2"]),
        ({"state": "unsettled"}, ["order-0", "order-1", "order-2"]),
        ({"cursor": "", "limit": "0100"}, ["order-0", "order-1", "order-2"]),
        ({"state": "review"}, ["strange"]),
        ({"state": "settled", "day": "2026-11-18"}, ["done", "strange"]),
        ({"state": "settled", "day": "2026-11-17"}, []),
    ],
)
def test_a_list_has_what_was_asked_for(scene: Scene, query: dict[str, str], orders: list[str]) -> None:
    fill(scene, 3)
    status, said = get(**query)
    shown = [void["order_id"] for void in said["voids"]]
    assert (status, said["cursor"], sorted(shown) if "day" in query else shown) == (200, None, orders)


@pytest.mark.parametrize("more", [{}, {"state": "settled", "day": "2026-11-18"}])
def test_pages_have_no_gap_and_no_repetition(scene: Scene, more: dict[str, str]) -> None:
    for index in range(7):
        name = f"order-{index}"
        scene.put(pipe.order_in(State.VOIDED, name) if more else make.submitting(scene.at + index, order_id=name))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None and len(seen) <= 7:
        said = get(limit="3", **more, **({"cursor": cursor} if cursor else {}))[1]
        seen += [void["order_id"] for void in said["voids"]]
        cursor = said["cursor"]
    assert sorted(seen) == [f"order-{index}" for index in range(7)]
    assert more or seen == sorted(seen)


def test_a_list_says_which_project_each_void_belongs_to(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    scene.put(replace(make.submitting(scene.at), pos_id="an-earlier-project"))
    assert {void["pos_id"] for void in get()[1]["voids"]} == {make.POS_ID, "an-earlier-project"}
