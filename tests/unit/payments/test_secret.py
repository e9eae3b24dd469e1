"""The credentials: how old a copy may be, what counts as no previous secret, and that no value is ever shown."""

import json
import traceback

import pytest

from payments.deadline import AWS_CALL_SECONDS
from payments.secret import Credentials, Secret, SecretError
from tests.fakes.scene import Scene
from tests.fakes.secret import PUBLISHED, SecretsManager


def current_of(scene: Scene) -> Credentials:
    return scene.secret.current(scene.deadline())


def previous_of(scene: Scene) -> Credentials | None:
    return scene.secret.previous(scene.deadline())


SENTINELS = [PUBLISHED["api_key"], PUBLISHED["api_secret"], PUBLISHED["endpoints_key"]]


def test_a_copy_is_used_for_a_minute() -> None:
    scene = Scene()
    scene.secret.current(scene.deadline())
    scene.wait(60)
    scene.secret.current(scene.deadline())
    assert len(scene.secrets.calls) == 1
    scene.wait(0.001)
    scene.secret.current(scene.deadline())
    assert len(scene.secrets.calls) == 2


def test_the_previous_credentials_are_those_before_the_rotation() -> None:
    scene = Scene()
    scene.secrets.rotate(api_secret="new")
    previous = scene.secret.previous(scene.deadline())
    assert previous is not None
    assert previous.api_secret == PUBLISHED["api_secret"]


def test_a_rotation_makes_the_copy_of_the_previous_one_old() -> None:
    scene = Scene()
    current_of(scene)
    scene.wait(55)
    assert previous_of(scene) is None
    scene.secrets.rotate(api_secret="new")
    scene.wait(6)
    assert current_of(scene).api_secret == "new"
    previous = previous_of(scene)
    assert previous is not None, "its copy is six seconds old, and wrong"
    assert previous.api_secret == PUBLISHED["api_secret"]


def test_without_a_rotation_the_copy_of_the_previous_one_stays() -> None:
    scene = Scene()
    current_of(scene)
    scene.wait(55)
    previous_of(scene)
    scene.wait(6)
    current_of(scene)
    previous_of(scene)
    assert scene.secrets.calls == ["AWSCURRENT", "AWSPREVIOUS", "AWSCURRENT"]


@pytest.mark.parametrize(
    "previous", [None, "", "a-generated-password", "{}", "[]", json.dumps({**PUBLISHED, "api_key": ""})]
)
def test_what_is_not_our_json_is_no_previous_secret(previous: str | None) -> None:
    assert previous_of(Scene(previous=previous)) is None


def test_a_previous_secret_out_of_reach_is_an_error() -> None:
    scene = Scene()
    scene.secrets.out_of_reach("ThrottlingException")
    with pytest.raises(SecretError, match="out-of-reach"):
        scene.secret.previous(scene.deadline())


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
    secret = Secret(secrets, "id", lambda: 0)
    with pytest.raises(SecretError) as raised:
        secret.current(Scene().deadline())
    assert raised.value.reason == "malformed"
    shown = "".join(traceback.format_exception(raised.value))
    assert not any(sentinel in shown for sentinel in SENTINELS)


@pytest.mark.parametrize("member", PUBLISHED)
@pytest.mark.parametrize("pasted", [" {}", "{} ", "{}\n", "\t{}", "{}\u00a0", "\ufeff{}"])
def test_what_was_pasted_with_a_blank_is_named_and_not_quoted(member: str, pasted: str) -> None:
    with pytest.raises(SecretError) as raised:
        current_of(Scene({**PUBLISHED, member: pasted.format(PUBLISHED[member])}))
    assert (raised.value.reason, raised.value.member) == ("malformed", member)
    assert not any(sentinel in "".join(traceback.format_exception(raised.value)) for sentinel in SENTINELS)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "out-of-reach"),
        ("InternalServiceError", "out-of-reach"),
        ("ThrottlingException", "out-of-reach"),
        ("AccessDeniedException", "denied"),
        ("DecryptionFailure", "denied"),
        ("ResourceNotFoundException", "no-such-secret"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why(code: str | None, reason: str) -> None:
    scene = Scene()
    scene.secrets.out_of_reach(code)
    with pytest.raises(SecretError) as raised:
        scene.secret.current(scene.deadline())
    assert raised.value.reason == reason


def test_an_error_leaves_the_copy_as_it_was() -> None:
    scene = Scene()
    scene.secret.current(scene.deadline())
    scene.secrets.out_of_reach()
    scene.wait(30)
    assert scene.secret.current(scene.deadline()).pos_id == PUBLISHED["pos_id"]


def test_credentials_show_nothing_but_the_pos_id() -> None:
    shown = repr(current_of(Scene()))
    assert PUBLISHED["pos_id"] in shown
    assert not any(sentinel in shown for sentinel in SENTINELS)


def test_a_secret_without_a_value_is_told_from_one_that_does_not_exist() -> None:
    with pytest.raises(SecretError, match="no-value"):
        current_of(Scene(current=None))


class TestWhileSecretsManagerIsOutOfReach:
    def test_the_copy_at_hand_serves_for_a_quarter_of_an_hour(self) -> None:
        scene = Scene()
        current_of(scene)
        scene.secrets.out_of_reach()
        scene.wait(900)
        assert current_of(scene).pos_id == PUBLISHED["pos_id"]
        scene.wait(1)
        with pytest.raises(SecretError, match="out-of-reach"):
            current_of(scene)

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
    def test_but_not_when_it_was_taken_from_us(self, code: str) -> None:
        scene = Scene()
        current_of(scene)
        scene.secrets.out_of_reach(code)
        scene.wait(61)
        with pytest.raises(SecretError):
            current_of(scene)

    def test_it_is_asked_once_in_five_seconds(self) -> None:
        scene = Scene()
        current_of(scene)
        scene.secrets.out_of_reach()
        scene.wait(61)
        for _ in range(10):
            current_of(scene)
        assert len(scene.secrets.calls) == 2
        assert scene.outages == 10
        scene.wait(5)
        current_of(scene)
        assert len(scene.secrets.calls) == 3

    def test_a_second_outage_is_asked_about_at_once(self) -> None:
        scene = Scene()
        for _ in range(2):
            scene.secrets.out_of_reach()
            with pytest.raises(SecretError):
                scene.secret.current(scene.deadline())
            scene.secrets.error = None
            scene.wait(5)
            current_of(scene)
            scene.secret.forget()
            scene.secrets.calls.clear()
        scene.secrets.out_of_reach()
        with pytest.raises(SecretError):
            scene.secret.current(scene.deadline())
        assert scene.secrets.calls == ["AWSCURRENT"]

    def test_what_no_copy_proves_is_an_error_and_not_forged(self) -> None:
        scene = Scene()
        current_of(scene)
        scene.secret.previous(scene.deadline())
        scene.secrets.out_of_reach()
        scene.wait(61)
        candidates = scene.secret.candidates(scene.deadline())
        assert next(candidates)[0] == "AWSCURRENT"
        with pytest.raises(SecretError):
            list(candidates)


class TestProjects:
    def test_credentials_are_found_by_their_project(self) -> None:
        scene = Scene()
        scene.secrets.rotate(pos_id="live", api_secret="live-secret")
        for pos_id, secret in (("live", "live-secret"), (PUBLISHED["pos_id"], PUBLISHED["api_secret"])):
            found = scene.secret.of_project(pos_id, scene.deadline())
            assert found is not None
            assert found.api_secret == secret
        assert scene.secret.of_project("third", scene.deadline()) is None

    def test_whoever_asks_in_capitals_means_the_same(self) -> None:
        scene = Scene()
        for rotated in (False, True):
            if rotated:
                scene.secrets.rotate(pos_id="live")
                scene.wait(61)
            found = scene.secret.of_project(PUBLISHED["pos_id"].upper(), scene.deadline())
            assert found is not None
            assert found.project == PUBLISHED["pos_id"]

    def test_without_a_previous_version_there_is_one_project(self) -> None:
        scene = Scene()
        assert scene.secret.of_project("live", scene.deadline()) is None

    def test_a_uuid_in_capitals_is_the_same_project(self) -> None:
        scene = Scene({**PUBLISHED, "pos_id": PUBLISHED["pos_id"].upper()})
        assert current_of(scene).project == PUBLISHED["pos_id"]
        assert current_of(scene).pos_id == PUBLISHED["pos_id"].upper()


@pytest.mark.parametrize("left", [0.5, 1.0, 100.0])
def test_a_call_gets_the_seconds_that_are_left_and_no_more_than_any_call(left: float) -> None:
    scene = Scene()
    scene.secret.current(scene.deadline(left))
    assert scene.secrets.seconds == [min(left, AWS_CALL_SECONDS)]


def test_a_secret_of_bytes_has_no_value_for_us() -> None:
    class Binary(SecretsManager):
        def _get_secret_value(self, **_: str) -> dict[str, object]:
            return {"SecretBinary": b"{}"}

    scene = Scene()
    secret = Secret(Binary(), "the-secret", lambda: 0)
    with pytest.raises(SecretError, match="^no-value$"):
        secret.current(scene.deadline())


def test_nothing_is_fetched_after_the_deadline() -> None:
    scene = Scene()
    deadline = scene.deadline(1)
    scene.wait(1)
    with pytest.raises(SecretError, match="out-of-reach"):
        scene.secret.current(deadline)
    assert scene.secrets.calls == []


def test_what_proves_a_webhook_is_named_by_its_stage_also_when_fetched_once_more() -> None:
    scene = Scene(previous={**PUBLISHED, "api_secret": "older"})
    current_of(scene)
    previous_of(scene)
    scene.secrets.rotate(api_secret="new")
    scene.secrets.rotate(api_secret="newer")
    scene.wait(5.001)
    tried = [(stage, credentials.api_secret) for stage, credentials in scene.secret.candidates(scene.deadline())]
    assert tried == [
        ("AWSCURRENT", PUBLISHED["api_secret"]), ("AWSPREVIOUS", "older"), ("AWSCURRENT", "newer"), ("AWSPREVIOUS", "new"),
    ]  # fmt: skip
