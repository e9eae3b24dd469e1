"""Calls of AWS as rows.toml lists them, how each thing that they make or change is taken back, and what of it is left.

Promises that a thing is in the state file before it is made and until it is gone. All of it carries one name.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from string import Template
from typing import Any

import jmespath
from botocore.exceptions import BotoCoreError, ClientError

from acceptance.rows import FACTS, Made
from acceptance.site import Site
from ops import places
from ops.places import OpsError

MARK = "void-service-acceptance"
"""Name of the policies, label of the secret's version, description of the function's version."""
_GONE = FACTS["codes"]["gone"]


def play(site: Site, name: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make these calls in turn; what is known at their end."""
    filled = {"mark": MARK, "temporary": site.temporary, "region": site.place.region, **(known or {})}
    for service, operation, parameters, *kept in FACTS["calls"][name]:
        answer = site.ask(service, operation, **fill(parameters, filled))
        filled |= {one: jmespath.search(path, answer) for names in kept for one, path in fill(names, filled).items()}
    return filled


def fill(value: Any, known: Mapping[str, Any]) -> Any:
    """A copy in which `$name` stands for what is known by it."""
    match value:
        case str():
            return known[value[1:]] if value[1:] in known and value[0] == "$" else Template(value).substitute(known)
        case dict():
            filled = {name: fill(item, known) for name, item in value.items()}
            return {name: item for name, item in filled.items() if item is not None}  # what the answer did not have
        case list():
            return [fill(item, known) for item in value]
    return value


@contextmanager
def making(site: Site, kind: str, **what: str) -> Iterator[None]:
    """Make a thing inside this block. It is taken back at the end, also after an error or Ctrl-C."""
    made = {"kind": kind} | what
    site.state.made += [] if made in site.state.made else [made]
    site.state.save()
    try:
        yield
    finally:
        with undisturbed():
            _attempt(site, made)


def _attempt(site: Site, made: Made) -> None:
    """Take one thing back; if AWS does not let us, it stays in the state file and is named."""
    kind, *what = made.values()
    try:
        if kind in UNDO:
            UNDO[kind](site, made)
        else:
            with if_there():
                play(site, f"undo-{kind}", made)
    except (ClientError, BotoCoreError, OpsError, OSError) as error:
        why = places.refusal_of_aws(error) if isinstance(error, ClientError) else type(error).__name__
        site.left_behind.append(f"{kind} {what[0]}: {why}")
    else:
        site.state.made.remove(made)
        site.state.save()


def take_back(site: Site) -> int:
    """Take back all that earlier runs left, newest first; how many things that was."""
    left = list(reversed(site.state.made))
    with undisturbed():
        for made in left:
            _attempt(site, made)
    return len(left)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until what is begun is taken back; then it counts."""
    came, main = list[int](), threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if came:
        raise KeyboardInterrupt


@contextmanager
def if_there() -> Iterator[None]:
    """What is gone already is as good as taken back."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _GONE:
            raise


# ---- what more than a list of calls takes back -----------------------------------------------------------------------


def _release(site: Site, what: Made) -> None:
    """The alias as it was, then the description, then the version that nothing points to any more."""
    name = what["function"]
    play(site, "share", what | {"weights": {}})
    if site.ask("lambda", "get_function_configuration", FunctionName=name).get("Description") == MARK:
        play(site, "describe", what)
    for number in play(site, "left-version", what)["left"]:
        with if_there():
            site.ask("lambda", "delete_function", FunctionName=name, Qualifier=number)


def _secret(site: Site, what: Made) -> None:
    """Both stages where they were. The label kept the version that was `previous` from being deleted meanwhile."""
    for stage, target in (("AWSCURRENT", what["current"]), ("AWSPREVIOUS", what["previous"]), (MARK, "")):
        where = stages(site, what["secret"])  # the first move moves the second stage as well
        if where.get(stage, "") != target:
            play(site, "stage", what | {"stage": stage, "from": where.get(stage), "to": target or None})


def stages(site: Site, secret: str) -> dict[str, str]:
    versions = site.ask("secretsmanager", "list_secret_version_ids", SecretId=secret)["Versions"]
    return {stage: version["VersionId"] for version in versions for stage in version.get("VersionStages", [])}


def _api(site: Site, _: Made) -> None:
    for api_id in play(site, "left-api")["left"]:
        with if_there():
            site.ask("apigateway", "delete_rest_api", restApiId=api_id)


UNDO: Mapping[str, Callable[[Site, Made], None]] = {"release": _release, "secret": _secret, "api": _api}

# ---- what is left ----------------------------------------------------------------------------------------------------


def clean(site: Site) -> list[str]:
    """Take back all that earlier runs left; what still carries our name, also when the state file was lost."""
    take_back(site)
    found, functions = list(site.left_behind), site.functions.values()
    roles = [function["Role"].rpartition("/")[2] for function in functions]
    with suppress(OpsError):
        roles.append(site.resource("AWS::IAM::Role", "EventsPipeRole"))
    several = {
        "$role": [{"role": role} for role in roles],
        "$function": [{"function": one["FunctionName"]} for one in functions],
    }
    known = {"bus": site.output("OutcomeBus"), "secret": site.resource("AWS::SecretsManager::Secret")}
    for what, sentence in FACTS["left"].items():
        try:
            for each in next((names for name, names in several.items() if name in sentence), [{}]):
                filled = play(site, f"left-{what}", known | each)
                found += [Template(sentence).substitute(filled, one=one) for one in filled["left"] or ()]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _GONE and not site.local:
                found.append(f"not seen whether something is left: {places.refusal_of_aws(error)}")
    return found
