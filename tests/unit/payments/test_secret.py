"""The credentials: how old a copy may be, what counts as no previous secret, and that no value is ever shown."""

import json
import traceback

import pytest

from payments.secret import Secret, SecretError
from tests.fakes.scene import Scene
from tests.fakes.secret import PUBLISHED, SecretsManager

SENTINELS = [PUBLISHED["api_key"], PUBLISHED["api_secret"], PUBLISHED["endpoints_key"]]


def test_a_copy_is_used_for_a_minute() -> None:
    scene = Scene()
    scene.secret.current()
    scene.wait(60)
    scene.secret.current()
    assert len(scene.secrets.calls) == 1
    scene.wait(0.001)
    scene.secret.current()
    assert len(scene.secrets.calls) == 2


def test_a_caller_may_ask_for_a_younger_copy() -> None:
    scene = Scene()
    scene.secret.current()
    scene.wait(5.001)
    scene.secrets.rotate("new")
    assert scene.secret.current().api_secret == PUBLISHED["api_secret"]
    assert scene.secret.current(5).api_secret == "new"


def test_the_previous_credentials_are_those_before_the_rotation() -> None:
    scene = Scene()
    scene.secrets.rotate("new")
    previous = scene.secret.previous()
    assert previous is not None
    assert previous.api_secret == PUBLISHED["api_secret"]


@pytest.mark.parametrize(
    "previous", [None, "", "a-generated-password", "{}", "[]", json.dumps({**PUBLISHED, "api_key": ""})]
)
def test_what_is_not_our_json_is_no_previous_secret(previous: str | None) -> None:
    assert Scene(previous=previous).secret.previous() is None


def test_a_previous_secret_out_of_reach_is_an_error() -> None:
    scene = Scene()
    scene.secrets.out_of_reach("ThrottlingException")
    with pytest.raises(SecretError, match="out-of-reach"):
        scene.secret.previous()


BROKEN = [
    "", "text", "[]", "{}", '"x"', "null",
    json.dumps({name: value for name, value in PUBLISHED.items() if name != "endpoints_key"}),
    *(json.dumps({**PUBLISHED, "api_key": bad}) for bad in ("", None, 5, "a\r\nX: y", "ключ")),
    json.dumps(PUBLISHED)[:-1],
]  # fmt: skip


@pytest.mark.parametrize("value", BROKEN)
def test_a_malformed_secret_is_named_so_and_not_quoted(value: str) -> None:
    secrets = SecretsManager()
    secrets.stages["AWSCURRENT"] = value
    secret = Secret(secrets, "id", lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(SecretError) as raised:
        secret.current()
    assert raised.value.reason == "malformed"
    shown = "".join(traceback.format_exception(raised.value))
    assert not any(sentinel in shown for sentinel in SENTINELS)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(None, "out-of-reach"), ("AccessDeniedException", "out-of-reach"), ("ResourceNotFoundException", "no-value")],
)
def test_a_secret_that_cannot_be_read_says_why(code: str | None, reason: str) -> None:
    scene = Scene()
    scene.secrets.out_of_reach(code)
    with pytest.raises(SecretError) as raised:
        scene.secret.current()
    assert raised.value.reason == reason


def test_an_error_leaves_the_copy_as_it_was() -> None:
    scene = Scene()
    scene.secret.current()
    scene.secrets.out_of_reach()
    scene.wait(30)
    assert scene.secret.current().pos_id == PUBLISHED["pos_id"]


def test_credentials_show_nothing_but_the_pos_id() -> None:
    shown = repr(Scene().secret.current())
    assert PUBLISHED["pos_id"] in shown
    assert not any(sentinel in shown for sentinel in SENTINELS)
