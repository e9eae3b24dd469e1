"""Looks at a deployed API: from outside (`make smoke URL=https://…/v1`), and with `ENVIRONMENT=…` also whether what
stands behind it is that environment, with the provider's credentials of that environment.

Promises to send nothing that could void a hold, and to print no credential but `pos_id`. Nothing is checked silently
less: what was not looked at is printed as such. Exits 0 only if every check holds.
"""

import argparse
import json
import socket
import ssl
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import urllib3

from infra import environments
from infra.environment import Environment
from ops import api, places, systems
from ops.errors import EXPECTED, exit_code, told
from ops.places import OpsError, Place
from ops.screen import one_line
from payments.secret import FIELDS, Credentials

DESCRIPTION = "Checks a deployed API. Sends no void."
RIGHTS = """\
Without --environment nothing but the address is needed. With it, your AWS role needs what a caller needs (the stack's
output CallerPolicy), cloudformation:DescribeStacks and ListStackResources, lambda:GetFunctionConfiguration, and
secretsmanager:GetSecretValue on the stack's secret, whose values are sent to the provider only and never printed."""
PROBLEM = "application/problem+json"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Check(NamedTuple):
    """One request that the API must refuse, and how."""

    says: str
    method: str
    path: str
    content_type: str
    body: str
    statuses: tuple[int, ...]


class Result(NamedTuple):
    """What one check found: `ok`, `FAIL`, or `skip` with the reason why nobody looked."""

    verdict: str
    says: str
    why: str = ""


CHECKS = (
    Check("an unsigned void is refused", "POST", "/voids", "application/json",
          '{"order_id": "smoke", "order_currency": "XTS"}', (403,)),
    Check("an unsigned read is refused", "GET", "/voids/smoke", "application/json", "", (403,)),
    # 403: our address is not the provider's. 401: it is allowed (a local run), so the signature is looked at.
    Check("a forged webhook is refused", "POST", "/webhooks/financial-line", "application/x-www-form-urlencoded",
          "data=e30%3D&signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D", (401, 403)),
    Check("an unknown route is refused", "GET", "/nothing-here", "application/json", "", (403,)),
)  # fmt: skip


def result(says: str, wrong: str | None) -> Result:
    """`ok` unless something is wrong."""
    return Result("ok", says) if wrong is None else Result("FAIL", says, wrong)


def attempt(says: str, look: Callable[[], str | None]) -> Result:
    """One check; what goes wrong on the way to it is a failed check, not a traceback."""
    try:
        return result(says, look())
    except EXPECTED as error:
        return Result("FAIL", says, told(error))


# ---- from outside ----------------------------------------------------------------------------------------------------


def from_outside(base: str) -> Iterator[Result]:
    """What anybody may see."""
    yield transport(base)
    http = urllib3.PoolManager(timeout=urllib3.Timeout(10), retries=False)
    for check in CHECKS:
        yield result(f"{check.says}: {check.method} {check.path}", refusal(http, base, check))


def transport(base: str) -> Result:
    """TLS, and whose; plain HTTP is for the local run only."""
    says, parts = "TLS 1.2 or newer, with a certificate that is trusted", urlsplit(base)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return Result("skip", says, "a local run") if host in LOOPBACK else Result("FAIL", says, "plain HTTP")
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def shake_hands() -> None:
        with socket.create_connection((host, parts.port or 443), 10) as raw, context.wrap_socket(
            raw, server_hostname=host
        ):  # fmt: skip
            return

    return attempt(says, shake_hands)


def refusal(http: urllib3.PoolManager, base: str, check: Check) -> str | None:
    """What is wrong with the answer to one check; None if nothing is."""
    body = check.body.encode() or None
    try:
        answer = http.request(check.method, base + check.path, body=body, headers={"Content-Type": check.content_type})
    except urllib3.exceptions.HTTPError as error:
        return f"no answer: {type(error).__name__}"
    if answer.status not in check.statuses:
        return f"status {answer.status}, expected {' or '.join(map(str, check.statuses))}"
    if answer.headers.get("Content-Type", "").split(";")[0] != PROBLEM:
        return f"content type {answer.headers.get('Content-Type')}, expected {PROBLEM}"
    try:
        problem = json.loads(answer.data)
    except ValueError:
        return "the body is not JSON"
    if not isinstance(problem, dict) or problem.get("status") != answer.status:
        return "the body is not the problem document of its status"
    return None


# ---- with the rights of an operator ----------------------------------------------------------------------------------


def from_inside(base: str, environment: Environment) -> Iterator[Result]:
    """Is it this environment, does it answer a signed call, and whose are its credentials?

    After a failed step nothing more is said that would depend on it: it might be about another deployment.
    """
    says = f"it is the API of VoidService-{environment.name}"
    try:
        place = place_of(base, environment)
    except OpsError as error:
        yield Result("FAIL", says, told(error))
        return
    address = attempt(says, lambda: elsewhere(place, base))
    yield address
    if address.verdict != "ok":
        return
    yield attempt("a signed read is answered: GET /voids?limit=1", lambda: api.probe(place))
    yield attempt("an order's id comes through the path as it is", lambda: changed_on_the_way(place))
    yield from of_the_credentials(place, environment)


def place_of(base: str, environment: Environment) -> Place:
    """Where to look; the local run is found by its port. Raises OpsError."""
    if environment.local:
        return places.local(urlsplit(base).port or 80, None)
    return places.deployed(environment.name, environment.region, None)


def changed_on_the_way(place: Place) -> str | None:
    """What became of an id that nobody has and that a path must encode, if it did not arrive as it was sent."""
    order_id = f'smoke {uuid.uuid4().hex[:8]} a/b%+"é🎫'
    try:
        api.read_void(place, order_id)
    except api.NotFound as nothing:
        return None if nothing.order_id == order_id else f"it arrived as {one_line(repr(nothing.order_id))}"
    return "there is a void of it"


def elsewhere(place: Place, base: str) -> str | None:
    """The stack's own address, if it is another one."""
    address = places.output(place, "ApiUrl").rstrip("/")
    return None if address == base else f"its ApiUrl is {address}"


def of_the_credentials(place: Place, environment: Environment) -> Iterator[Result]:
    """The secret is filled, it is this environment's, and the provider takes it: in this order."""
    says = f"the secret has its fields ({', '.join(FIELDS)})"
    try:
        variables = places.configuration(place)
        credentials = systems.secret(place, variables).current(systems.deadline())
    except EXPECTED as error:
        yield Result("FAIL", says, told(error))
        return
    yield Result("ok", says)
    yield whose(credentials.pos_id, environment, environments.ENVIRONMENTS)
    yield attempt("the provider accepts them", lambda: refused(variables, credentials))


def whose(pos_id: str, environment: Environment, known: Mapping[str, Environment]) -> Result:
    """Test and live projects differ by their credentials only, so nothing but `pos_id` can tell them apart."""
    says = f"they are those of {environment.name} (pos_id {one_line(pos_id)})"
    owners = [
        other.name for other in known.values() if other.pos_id == pos_id.lower() and other.name != environment.name
    ]
    if owners:
        return Result("FAIL", says, f"it is the pos_id of {owners[0]}")
    if environment.pos_id is None:
        return Result("FAIL", says, f"nobody can say: set {environment.name}.pos_id in infra/environments.py")
    return result(says, None if pos_id.lower() == environment.pos_id else f"expected {environment.pos_id}")


def refused(variables: Mapping[str, str], credentials: Credentials) -> str | None:
    """What the provider says to them, if it does not take them."""
    match systems.provider(variables).accepts(credentials, systems.deadline()):
        case True:
            return None
        case False:
            return "it refuses them"
        case _:
            return "no answer that says so"


# ---- the command -----------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run the checks; 0 if all hold, 1 if not. Called wrongly: exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.smoke",
        description=DESCRIPTION,
        epilog=RIGHTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", type=_address, help="with its stage, as in https://{api}/v1")
    parser.add_argument(
        "--environment", metavar="NAME", type=_environment, help="whose it must be: test, prod or local"
    )
    if not arguments:
        parser.print_help()
        return 2
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _report(_all(chosen.url, chosen.environment)))


def _report(results: Iterator[Result]) -> int:
    failures = 0
    for found in results:
        failures += found.verdict == "FAIL"
        print(f"{found.verdict:<5}{found.says}" + (f" ({found.why})" if found.why else ""), flush=True)
    return 1 if failures else 0


def _all(base: str, environment: Environment | None) -> Iterator[Result]:
    yield from from_outside(base)
    if environment is None:
        yield Result("skip", "whose credentials it has", "say ENVIRONMENT=…")
    else:
        yield from from_inside(base, environment)


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("not an http(s) address")
    return text.rstrip("/")


def _environment(name: str) -> Environment:
    try:
        return environments.named(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
