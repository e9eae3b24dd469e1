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

TIMES = {
    # A step is a wait in seconds, something that happens, or a question with its answer; then what was fetched.
    "a copy serves for a minute": "current=own +60 current=own | C",
    "and no longer": "current=own +60.001 current=own | C C",
    "the previous one is that before the rotation": "rotate=new previous=own | P",
    # Its copy is six seconds old, and wrong.
    "a rotation makes the copy of the previous one old": "current=own +55 previous=none rotate=new +6 current=new previous=own | C P C P",
    "without a rotation it stays": "current=own +55 previous=none +6 current=own previous=none | C P C",
    "an error leaves the copy as it was": "current=own out +30 current=own | C",
    "out of reach, it serves for a quarter of an hour": "current=own out +900 current=own +1 current=out-of-reach | C C",
    "but not when it was taken from us": "current=own out=AccessDeniedException +61 current=denied | C C",
    "or deleted": "current=own out=ResourceNotFoundException +61 current=no-such-secret | C C",
    "out of reach, it is asked for once in five seconds, and each use of the copy is reported":
        f"current=own out +61 {'current=own ' * 10} outages=10 | C C",
    "and then again": "current=own out +61 current=own +5 current=own | C C C",
    "a second outage is asked about at once": "out current=out-of-reach back +5 current=own forget out current=out-of-reach "
        "back +5 current=own forget out current=out-of-reach | C C C C C",
    "a previous one out of reach is an error": "out=ThrottlingException previous=out-of-reach | P",
    "nothing is fetched after the deadline": "late=out-of-reach |",
    **{f"never read: {code}": f"out={code} current={reason} | C" for code, reason in (
        ("", "out-of-reach"), ("InternalServiceError", "out-of-reach"), ("ThrottlingException", "out-of-reach"),
        ("AccessDeniedException", "denied"), ("DecryptionFailure", "denied"), ("ResourceNotFoundException", "no-such-secret"))},
    "without a value": "empty current=no-value | C",
}  # fmt: skip


def answer(scene: Scene, question: str) -> str:
    deadline = scene.deadline(1 if question == "late" else 19)
    scene.wait(1 if question == "late" else 0)
    try:
        found = (scene.secret.previous if question == "previous" else scene.secret.current)(deadline)
    except SecretError as error:
        return error.reason
    return found.api_secret.replace(OWN, "own") if found is not None else "none"


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_a_secret_in_time(scene: Scene, times: str) -> None:
    steps, _, calls = times.partition("|")
    happens: dict[str, Callable[[str], object]] = {
        "rotate": lambda secret: scene.secrets.rotate(api_secret=secret), "out": lambda code: scene.secrets.out_of_reach(code or None),
        "back": lambda _: setattr(scene.secrets, "error", None), "forget": lambda _: scene.secret.forget(),
        "empty": lambda _: scene.secrets.stages.clear(),
    }  # fmt: skip
    for step, _, value in (each.partition("=") for each in steps.split()):
        if step in happens:
            happens[step](value)
        elif step.startswith("+"):
            scene.wait(float(step))
        else:
            assert (str(len(scene.outages)) if step == "outages" else answer(scene, step)) == value
    assert [each.removeprefix("AWS")[0] for each in scene.secrets.calls] == calls.split()


@pytest.mark.parametrize("left", [0.5, 1.0, 100.0])
def test_a_call_gets_the_seconds_that_are_left_and_no_more_than_any_call(scene: Scene, left: float) -> None:
    scene.secret.current(scene.deadline(left))
    assert scene.secrets.seconds == [min(left, AWS_CALL_SECONDS)]


# ---- what can be used, and that no value is shown --------------------------------------------------------------------------

BROKEN = {
    **{repr(text): (text, None) for text in ("", "text", "[]", '"x"', "null", json.dumps(PUBLISHED)[:-1])},
    "empty": ("{}", "pos_id"), "the mark in a key": (json.dumps({**PUBLISHED, "pos_id": "a#b"}), "pos_id"),
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
    scene.secrets.rotate(api_secret="new")
    scene.secrets.rotate(api_secret="newer")
    scene.wait(5.001)
    tried = [(stage, credentials.api_secret) for stage, credentials in scene.secret.candidates(scene.deadline())]
    assert tried == [(C, OWN), (P, "older"), (C, "newer"), (P, "new")]
