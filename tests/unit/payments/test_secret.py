"""The credentials: how old a copy may be, what counts as no previous secret, and that no value is ever shown."""

import json
import traceback
from collections.abc import Callable

import pytest

from payments.deadline import AWS_CALL_SECONDS
from payments.secret import Credentials, SecretError
from tests.fakes.scene import Scene
from tests.fakes.secret import PUBLISHED

OWN, PROJECT = PUBLISHED["api_secret"], PUBLISHED["pos_id"]
SENTINELS = [PUBLISHED["api_key"], PUBLISHED["api_secret"], PUBLISHED["endpoints_key"]]
C, P = "AWSCURRENT", "AWSPREVIOUS"


def current_of(scene: Scene) -> Credentials:
    return scene.secret.current(scene.deadline())


def previous_of(scene: Scene) -> Credentials | None:
    return scene.secret.previous(scene.deadline())


# ---- how old a copy may be -----------------------------------------------------------------------------------------------

Act = Callable[[Scene], object]
Step = float | Act | tuple[Act, str | None]
"""Seconds that pass; something that happens; or a question, and the secret or the error that answers it."""


def rotate(secret: str) -> Act:
    return lambda scene: scene.secrets.rotate(api_secret=secret)


def out(code: str | None = None) -> Act:
    return lambda scene: scene.secrets.out_of_reach(code)


def back(scene: Scene) -> None:
    scene.secrets.error = None


def forget(scene: Scene) -> None:
    scene.secret.forget()


def current_too_late(scene: Scene) -> Credentials:
    deadline = scene.deadline(1)
    scene.wait(1)
    return scene.secret.current(deadline)


OUT = "out-of-reach"
TIMES: dict[str, tuple[list[Step], list[str]]] = {
    "a copy serves for a minute": ([(current_of, OWN), 60, (current_of, OWN)], [C]),
    "and no longer": ([(current_of, OWN), 60.001, (current_of, OWN)], [C, C]),
    "the previous one is that before the rotation": ([rotate("new"), (previous_of, OWN)], [P]),
    # Its copy is six seconds old, and wrong.
    "a rotation makes the copy of the previous one old": ([(current_of, OWN), 55, (previous_of, None), rotate("new"), 6, (current_of, "new"),
                                                           (previous_of, OWN)], [C, P, C, P]),
    "without a rotation it stays": ([(current_of, OWN), 55, (previous_of, None), 6, (current_of, OWN), (previous_of, None)], [C, P, C]),
    "an error leaves the copy as it was": ([(current_of, OWN), out(), 30, (current_of, OWN)], [C]),
    "out of reach, it serves for a quarter of an hour": ([(current_of, OWN), out(), 900, (current_of, OWN), 1, (current_of, OUT)], [C, C]),
    "but not when it was taken from us": ([(current_of, OWN), out("AccessDeniedException"), 61, (current_of, "denied")], [C, C]),
    "or deleted": ([(current_of, OWN), out("ResourceNotFoundException"), 61, (current_of, "no-such-secret")], [C, C]),
    "out of reach, it is asked for once in five seconds": ([(current_of, OWN), out(), 61, *[(current_of, OWN)] * 10], [C, C]),
    "and then again": ([(current_of, OWN), out(), 61, (current_of, OWN), 5, (current_of, OWN)], [C, C, C]),
    "a second outage is asked about at once": ([out(), (current_of, OUT), back, 5, (current_of, OWN), forget, out(), (current_of, OUT), back, 5,
                                                (current_of, OWN), forget, out(), (current_of, OUT)], [C] * 5),
    "a previous one out of reach is an error": ([out("ThrottlingException"), (previous_of, OUT)], [P]),
    "nothing is fetched after the deadline": ([(current_too_late, OUT)], []),
    **{f"never read: {code}": ([out(code), (current_of, reason)], [C]) for code, reason in (
        (None, OUT), ("InternalServiceError", OUT), ("ThrottlingException", OUT), ("AccessDeniedException", "denied"),
        ("DecryptionFailure", "denied"), ("ResourceNotFoundException", "no-such-secret"))},
    "without a value": ([lambda scene: scene.secrets.stages.clear(), (current_of, "no-value")], [C]),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "calls"), TIMES.values(), ids=TIMES)
def test_a_secret_in_time(scene: Scene, steps: list[Step], calls: list[str]) -> None:
    for step in steps:
        if isinstance(step, int | float):
            scene.wait(step)
        elif isinstance(step, tuple):
            ask, expected = step
            try:
                found = ask(scene)
                answer = found.api_secret if isinstance(found, Credentials) else None
            except SecretError as error:
                answer = error.reason
            assert answer == expected
        else:
            step(scene)
    assert scene.secrets.calls == calls


def test_each_use_of_an_older_copy_in_an_outage_is_reported(scene: Scene) -> None:
    current_of(scene)
    scene.secrets.out_of_reach()
    scene.wait(61)
    for _ in range(10):
        current_of(scene)
    assert len(scene.outages) == 10


@pytest.mark.parametrize("left", [0.5, 1.0, 100.0])
def test_a_call_gets_the_seconds_that_are_left_and_no_more_than_any_call(scene: Scene, left: float) -> None:
    scene.secret.current(scene.deadline(left))
    assert scene.secrets.seconds == [min(left, AWS_CALL_SECONDS)]


# ---- what can be used, and that no value is shown --------------------------------------------------------------------------

BROKEN = {
    **{repr(text): (text, None) for text in ("", "text", "[]", '"x"', "null", json.dumps(PUBLISHED)[:-1])},
    "empty": ("{}", "pos_id"),
    "a member is missing": (json.dumps({name: value for name, value in PUBLISHED.items() if name != "endpoints_key"}), "endpoints_key"),
    **{f"api_key {bad!r}": (json.dumps({**PUBLISHED, "api_key": bad}), "api_key") for bad in ("", None, 5, "a\r\nX: y", "ключ")},
    **{f"{member} pasted as {pasted!r}": (json.dumps({**PUBLISHED, member: pasted.format(PUBLISHED[member])}), member)
       for member in PUBLISHED for pasted in (" {}", "{} ", "{}\n", "\t{}", "{}\u00a0", "\ufeff{}")},
}  # fmt: skip


@pytest.mark.parametrize(("value", "member"), BROKEN.values(), ids=BROKEN)
def test_a_malformed_secret_is_named_so_and_not_quoted(scene: Scene, value: str, member: str | None) -> None:
    scene.secrets.stages[C] = value
    with pytest.raises(SecretError) as raised:
        current_of(scene)
    assert (raised.value.reason, raised.value.member) == ("malformed", member)
    assert not any(sentinel in "".join(traceback.format_exception(raised.value)) for sentinel in SENTINELS)
    # As the previous one it is none.
    assert previous_of(Scene(previous=value)) is None


def test_credentials_show_nothing_but_the_pos_id(scene: Scene) -> None:
    shown = repr(current_of(scene))
    assert PROJECT in shown
    assert not any(sentinel in shown for sentinel in SENTINELS)


def test_a_secret_of_bytes_has_no_value_for_us(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.secrets, "_get_secret_value", lambda **_: {"SecretBinary": b"{}"})
    with pytest.raises(SecretError, match="^no-value$"):
        current_of(scene)


# ---- whose it is, and what proves a webhook ----------------------------------------------------------------------------------


def test_credentials_are_found_by_their_project_however_it_is_spelt(scene: Scene) -> None:
    def found(pos_id: str) -> str | None:
        credentials = scene.secret.of_project(pos_id, scene.deadline())
        return None if credentials is None else credentials.project

    # Without a previous version there is one project.
    assert (found(PROJECT), found(PROJECT.upper()), found("live")) == (PROJECT, PROJECT, None)
    scene.secrets.rotate(pos_id="live", api_secret="live-secret")
    scene.wait(61)
    assert (found("live"), found(PROJECT), found(PROJECT.upper()), found("third")) == ("live", PROJECT, PROJECT, None)
    shouted = current_of(Scene({**PUBLISHED, "pos_id": PROJECT.upper()}))
    assert (shouted.project, shouted.pos_id) == (PROJECT, PROJECT.upper())


def test_what_no_copy_proves_is_an_error_and_not_forged(scene: Scene) -> None:
    current_of(scene)
    scene.secret.previous(scene.deadline())
    scene.secrets.out_of_reach()
    scene.wait(61)
    candidates = scene.secret.candidates(scene.deadline())
    assert next(candidates)[0] == C
    with pytest.raises(SecretError):
        list(candidates)


def test_what_proves_a_webhook_is_named_by_its_stage_also_when_fetched_once_more() -> None:
    scene = Scene(previous={**PUBLISHED, "api_secret": "older"})
    current_of(scene)
    previous_of(scene)
    rotate("new")(scene)
    rotate("newer")(scene)
    scene.wait(5.001)
    tried = [(stage, credentials.api_secret) for stage, credentials in scene.secret.candidates(scene.deadline())]
    assert tried == [(C, OWN), (P, "older"), (C, "newer"), (P, "new")]
