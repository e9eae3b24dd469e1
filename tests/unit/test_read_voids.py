"""GET /v1/voids/{order_id} and GET /v1/voids: reading one, refreshing it, and paging through what is open."""

import json
from copy import replace
from typing import Any

import pytest

import read_voids
from payments.messages import OrderView
from payments.record import FailureReason, State
from payments.webhooks import receive
from tests.fakes import scene as make
from tests.fakes.scene import Scene
from tests.unit.conftest import Counted


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """One order, and the function on it."""
    scene = Scene()
    monkeypatch.setattr(read_voids, "systems", lambda: scene.systems)
    return scene


def get(order: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
    path = {"order_id": order} if order is not None else None
    event = make.gateway_event(None, {}, pathParameters=path, queryStringParameters=query or None)
    answer = read_voids.handler(event, None)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize(
    ("order", "query", "detail", "errors"),
    [
        ("0", {}, "The path is wrong.", {"/order_id": "must be text of 1 to 32 characters, and not '.', '..' or '0'"}),
        ("a%ff", {}, "The path is wrong.", {"/order_id": "must be percent-encoded UTF-8"}),
        ("123", {"refresh": "1"}, "The query is wrong.", {"/refresh": "must be true or false"}),
        (None, {"state": "open"}, "The query is wrong.", {"/state": "must be unsettled or review"}),
        (None, {"limit": "0"}, "The query is wrong.", {"/limit": "must be a whole number from 1 to 100"}),
        (None, {"cursor": "x"}, "The query is wrong.", {"/cursor": "must be a cursor of an earlier answer"}),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    scene: Scene, order: str | None, query: dict[str, str], detail: str, errors: dict[str, str]
) -> None:
    status, told = get(order, **query)
    assert (status, told["detail"]) == (400, detail)
    assert {error["pointer"]: error["detail"] for error in told["errors"]} == errors


class TestOneOrder:
    def test_without_a_record_is_404(self, scene: Scene) -> None:
        receive(scene.storage, *make.signed(make.fields("pending")))
        receive(scene.storage, *make.signed(make.fields("success", "auth")))
        status, told = get("123")
        assert (status, told["type"], told["order_id"]) == (404, "urn:void-service:problem:not-found", "123")
        assert told["detail"] == "No void was requested or reported for this order."

    def test_has_its_record_and_its_events_newest_last(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        for status in ("pending", "failure", "success"):
            scene.wait(1)
            receive(scene.storage, *make.signed(make.fields(status, card_mask="444455******1111")))
        status_code, told = get("123")
        assert status_code == 200
        assert told["state"] == "voided"
        assert [event["status"] for event in told["events"]] == ["pending", "failure", "success"]
        assert told["events_truncated"] is False
        assert "444455" not in json.dumps(told)

    def test_says_when_some_webhooks_did_not_fit(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        for number in range(101):
            scene.wait(1)
            receive(scene.storage, *make.signed(make.fields("pending", comment=str(number))))
        told = get("123")[1]
        assert (told["events_truncated"], told["review"]) == (True, True)
        assert [event["provider"]["comment"] for event in told["events"]] == [str(n) for n in range(100)]

    @pytest.mark.parametrize("number", [99, 100])
    def test_a_hundred_events_are_not_truncated(self, scene: Scene, number: int) -> None:
        scene.put(make.submitting(scene.at))
        for index in range(number):
            receive(scene.storage, *make.signed(make.fields("pending", comment=str(index))))
        told = get("123")[1]
        assert (len(told["events"]), told["events_truncated"]) == (number, False)

    def test_keeps_the_digits_of_amounts(self, scene: Scene) -> None:
        data = json.dumps(make.fields()).replace('"amount": 100', '"amount": 100.00').encode()
        receive(scene.storage, *make.signed(data))
        event = make.gateway_event(None, {}, pathParameters={"order_id": "123"})
        assert read_voids.handler(event, None)["body"].count('"amount":100.00,') == 2


class TestRefresh:
    def test_asks_once_and_answers_what_it_learnt(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        scene.provider.views = [make.view(make.operation())]
        assert get("123", refresh="true")[1]["state"] == "voided"
        assert get("123", refresh="true")[1]["state"] == "voided"
        assert len(scene.provider.asked) == 1

    def test_asks_at_most_every_five_seconds(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        scene.provider.views = [None, None]
        for _ in range(3):
            assert get("123", refresh="true")[0] == 200
        scene.wait(5)
        get("123", refresh="true")
        assert len(scene.provider.asked) == 2

    def test_is_not_done_unasked(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at))
        assert get("123")[0] == get("123", refresh="false")[0] == 200
        assert scene.provider.asked == []

    def test_takes_true_or_false_only(self, scene: Scene) -> None:
        status, told = get("123", refresh="1")
        assert (status, told["errors"][0]["pointer"]) == (400, "/refresh")


class TestTheList:
    def fill(self, scene: Scene, number: int) -> None:
        for index in range(number):
            scene.put(make.submitting(scene.at + index), f"order-{index}")
        scene.put(replace(make.submitting(), state=State.VOIDED, due_at=None), "done")

    def test_has_what_is_not_settled_next_due_first(self, scene: Scene) -> None:
        self.fill(scene, 3)
        status, told = get()
        assert status == 200
        assert [void["order_id"] for void in told["voids"]] == ["order-0", "order-1", "order-2"]
        assert told["cursor"] is None
        assert get(state="unsettled")[1] == told

    def test_pages_without_a_gap_or_a_repetition(self, scene: Scene) -> None:
        self.fill(scene, 7)
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            told = get(limit="3", **({"cursor": cursor} if cursor else {}))[1]
            seen += [void["order_id"] for void in told["voids"]]
            cursor = told["cursor"]
            assert cursor is None or "=" not in cursor
            assert len(seen) <= 7, "a page comes again"
        assert seen == [f"order-{index}" for index in range(7)]

    def test_has_those_that_need_a_person(self, scene: Scene) -> None:
        self.fill(scene, 2)
        scene.put(replace(make.submitting(), review=True), "strange")
        assert [void["order_id"] for void in get(state="review")[1]["voids"]] == ["strange"]

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "x", "", "١", "99999"])
    def test_takes_a_limit_from_1_to_100(self, scene: Scene, limit: str) -> None:
        status, told = get(limit=limit)
        assert (status, told["errors"][0]["pointer"]) == (400, "/limit")

    def test_tells_all_violations_at_once(self, scene: Scene) -> None:
        told = get(limit="x", state="all")[1]
        assert [violation["pointer"] for violation in told["errors"]] == ["/state", "/limit"]

    @pytest.mark.parametrize("cursor", ["x", "!!", "e30", "bnVsbA", "ї", "a" * 5000, "W10"])
    def test_takes_only_cursors_of_its_own(self, scene: Scene, cursor: str) -> None:
        status, told = get(cursor=cursor)
        assert (status, told["errors"][0]["pointer"]) == (400, "/cursor")


def test_a_secret_out_of_reach_is_503(scene: Scene) -> None:
    scene.secrets.out_of_reach()
    assert get("123")[0] == 503


class TestThePath:
    def test_may_hold_any_order_percent_encoded(self, scene: Scene) -> None:
        scene.put(make.submitting(scene.at), "a b/ї")
        assert get("a%20b%2F%D1%97")[1]["order_id"] == "a b/ї"

    @pytest.mark.parametrize("order", ["%ff", "..", "0", "x" * 33, "%20a", "%0A", "e%CC%81"])
    def test_that_names_no_possible_order_is_400(self, scene: Scene, order: str) -> None:
        status, told = get(order)
        assert (status, told["errors"][0]["pointer"]) == (400, "/order_id")


def test_a_list_says_which_project_each_void_belongs_to(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    scene.put(make.submitting(scene.at), pos_id="an-earlier-project")
    assert {void["pos_id"] for void in get()[1]["voids"]} == {make.POS_ID, "an-earlier-project"}


def test_what_nobody_expected_of_a_refresh_is_counted_and_the_record_is_read(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [ZeroDivisionError("of somebody's text")]
    status, told = get("123", refresh="true")
    assert (status, told["state"]) == (200, "submitting")
    assert counted() == {"UnexpectedError": 1}


def test_what_a_refresh_settles_is_counted(scene: Scene, counted: Counted) -> None:
    scene.put(make.submitting(scene.at))
    scene.wait(60)
    scene.provider.views = [make.view(make.operation())]
    assert get("123", refresh="true")[1]["state"] == "voided"
    assert counted() == {"SettledByQuery": 1}
    assert get("123", refresh="true")[1]["state"] == "voided"
    assert counted() == {}


def test_a_review_that_a_refresh_sets_is_counted(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.put(make.submitting(scene.at))
    scene.wait(86_400)
    scene.provider.views = [None]
    assert get("123", refresh="true")[1]["review"]
    assert '"VoidReview":' in capsys.readouterr().out


def test_a_refresh_whose_write_got_no_answer_is_counted_as_trouble(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.put(make.submitting(scene.at))

    def lost() -> OrderView:
        scene.table.lose_next_answer("put_item", repeated=False)
        return make.view(make.operation(currency="EUR"))

    scene.provider.views = [lost]
    assert get("123", refresh="true")[0] == 200
    assert scene.record().review, "written, and nobody will count that review"
    out = capsys.readouterr().out
    assert ('"VoidReview":' in out, '"StoreUnavailable":' in out) == (False, True)


def test_an_empty_state_is_no_state(scene: Scene) -> None:
    status, told = get(state="")
    assert (status, told["errors"][0]["pointer"]) == (400, "/state")


def test_a_failed_void_is_asked_about_by_a_refresh(scene: Scene) -> None:
    scene.put(replace(make.submitting(scene.at), state=State.FAILED, reason=FailureReason.NOT_EXECUTED, due_at=None))
    scene.provider.views = [make.view(make.operation())]
    told = get("123", refresh="true")[1]
    assert (told["state"], told["corrected"]) == ("voided", True)


@pytest.mark.parametrize(
    ("limit", "status"), [("1", 200), ("100", 200), ("0100", 200), ("00100", 400), ("9" * 5_000, 400)]
)
def test_a_limit_is_a_number_of_at_most_four_digits(scene: Scene, limit: str, status: int) -> None:
    assert get(limit=limit)[0] == status


def test_an_empty_cursor_is_the_first_page(scene: Scene) -> None:
    scene.put(make.submitting(scene.at))
    assert len(get(cursor="")[1]["voids"]) == 1


def test_what_is_not_asked_about_is_not_logged_as_refreshed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.put(make.submitting(scene.at))
    scene.provider.views = [make.view(make.operation())]
    for _ in range(2):
        get("123", refresh="true")
    assert capsys.readouterr().out.count('"void refreshed"') == 1
