"""`python -m local up`: the whole service until Ctrl-C. `python -m local demo`: one void from hold to record.

Prints what it is doing while it sets up, then the credentials and calls that work when pasted.
"""

import os
import signal

if __name__ == "__main__":  # before all that takes time: a Ctrl-C now has nothing to clean up, and no traceback to show
    signal.signal(signal.SIGINT, lambda *_: os.write(1, b"\nStopped.\n") and os._exit(0))

import re
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from urllib.parse import urlsplit

CLEANED_UP = 5.0  # seconds
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEPT_NOWHERE = "Its records, holds and webhooks are in memory only: they are gone when it stops (KEEP=1 keeps them)."
KEPT = "Its records, holds and webhooks are kept in .cache: the next run with KEEP=1 has them again."
READY = """
The void service is up. Everything is on this machine; Ctrl-C stops it.
{kept}

  API              {service.url}/v1
  console          {service.url}/           (in a browser; the API reference is {service.url}/reference)
  credentials      access key local, secret key local-secret, region {service.region}; may submit and read
  an operator      access key operator, secret key operator-secret; may read and decide
  Financial Line   {service.sandbox_url}  (control side of the sandbox; its API is {service.provider_url})
  function logs    {service.log}

Create a hold at the provider, then void it:

  curl -sS -X POST {service.sandbox_url}/sandbox/holds -H 'Content-Type: application/json' \
-d '{{"order_id": "123", "amount": 100, "currency": "UAH"}}'

  curl -sS --aws-sigv4 "aws:amz:{service.region}:execute-api" --user local:local-secret -X POST {service.url}/v1/voids \
-H 'Content-Type: application/json' -d '{{"order_id": "123", "order_currency": "UAH"}}'

Read the record and its webhooks:

  curl -sS --aws-sigv4 "aws:amz:{service.region}:execute-api" --user local:local-secret {service.url}/v1/voids/123
"""
TOKEN = """
The same with a token of the sandbox's issuer (shop / shop-secret may submit and read, reader / reader-secret read):

  TOKEN=$(curl -sS -u shop:shop-secret -d grant_type=client_credentials {service.sandbox_url}/oauth2/token \
| sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  curl -sS -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
-d '{{"order_id": "123", "order_currency": "UAH"}}' {service.url}/v1/oauth/voids
"""


def main(arguments: list[str]) -> int:
    import local.service  # noqa: F401  the dear part, while a Ctrl-C may still end everything at once

    for stop in STOP_SIGNALS:
        signal.signal(stop, Interrupt())
    try:
        match arguments:
            case ["up"]:
                return _or_one_line(up)
            case ["demo"]:
                return _or_one_line(demo)
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        return 0
    print("usage: python -m local up | demo", file=sys.stderr)
    return 2


def up() -> int:
    from local.service import running

    no_port = "is not a port: give a number from 1 to 65535, or 0 for a free one"
    no_url = "is no address: give http://127.0.0.1:PORT/path, or https://…"
    auth = _given("AUTH", ("", "iam", "token").__contains__, "is not known: give token, or nothing")
    chosen = {
        "port": int(_given("PORT", _is_port, no_port, "8080")),
        "sandbox_port": int(_given("SANDBOX_PORT", _is_port, no_port, "8081")),
        "keep": os.environ.get("KEEP", "") not in ("", "0"),
        "show_events": os.environ.get("EVENTS", "") not in ("", "0"),
        "tokens": auth == "token",
        "outcome_url": _given("OUTCOME_URL", _is_url, no_url),
    }
    with running(quiet=False, **chosen) as service:
        ready = READY.format(service=service, kept=KEPT if chosen["keep"] else KEPT_NOWHERE)
        print(ready + (TOKEN.format(service=service) if chosen["tokens"] else ""), flush=True)
        threading.Event().wait()
    return 0


def demo() -> int:
    from local.demo import demonstrate
    from local.service import running

    # Free ports of its own: a demo also works while `make run` is up.
    with running(quiet=False) as service:
        return demonstrate(service)


def _or_one_line(command: Callable[[], int]) -> int:
    """What stops a run from outside is one line that names the cause; a defect of ours is not hidden."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    from local.runtime import FunctionFailed

    try:
        return command()
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        cause = f"{error.strerror or error}{place}"
    except (BotoCoreError, ClientError, HTTPError, FunctionFailed) as error:
        cause = f"{type(error).__name__}: {error}"
    raise SystemExit(f"The local run cannot go on: {cause}")


def _given(variable: str, fits: Callable[[str], object], wrong: str, default: str = "") -> str:
    text = os.environ.get(variable) or default
    if not fits(text):
        raise SystemExit(f"{variable}={text} {wrong}")
    return text


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and int(text) <= 65_535


def _is_url(text: str) -> bool:
    return not text or (urlsplit(text).scheme in ("http", "https") and bool(urlsplit(text).hostname))


class Interrupt:
    """Ends the run. A second one must not interrupt the clean-up, unless that hangs or the first one was lost."""

    last = -CLEANED_UP

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        before, Interrupt.last = Interrupt.last, time.monotonic()
        if Interrupt.last - before > CLEANED_UP:
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
