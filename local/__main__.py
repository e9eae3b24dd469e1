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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from local.service import Service

CLEANED_UP = 5.0  # seconds
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEPT_NOWHERE = "Its records, holds and webhooks are in memory only: they are gone when it stops (KEEP=1 keeps them)."
KEPT = "Its records, holds and webhooks are kept in .cache: the next run with KEEP=1 has them again."
READY = """
The void service is up. Everything is on this machine; Ctrl-C stops it.
{kept}

  API              {url}/v1
  console          {url}/           (in a browser; the API reference is {url}/reference)
  credentials      access key local, secret key local-secret, region {region}; may submit and read
  an operator      access key operator, secret key operator-secret; may read and decide
  Financial Line   {sandbox}  (control side of the sandbox; its API is {provider})
  function logs    {log}

Create a hold at the provider, then void it:

  curl -sS -X POST {sandbox}/sandbox/holds -H 'Content-Type: application/json' \
-d '{{"order_id": "123", "amount": 100, "currency": "UAH"}}'

  curl -sS --aws-sigv4 "aws:amz:{region}:execute-api" --user local:local-secret -X POST {url}/v1/voids \
-H 'Content-Type: application/json' -d '{{"order_id": "123", "order_currency": "UAH"}}'

Read the record and its webhooks:

  curl -sS --aws-sigv4 "aws:amz:{region}:execute-api" --user local:local-secret {url}/v1/voids/123
"""
TOKEN = """\
The same with a token of the sandbox's issuer (shop / shop-secret may submit and read, reader / reader-secret read):

  TOKEN=$(curl -sS -u shop:shop-secret -d grant_type=client_credentials {sandbox}/oauth2/token \
| sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  curl -sS -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
-d '{{"order_id": "123", "order_currency": "UAH"}}' {url}/v1/oauth/voids
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

    chosen = {"keep": _switch("KEEP"), "show_events": _switch("EVENTS"), "tokens": _auth() == "token"}
    ports = {"port": _port("PORT", 8080), "sandbox_port": _port("SANDBOX_PORT", 8081)}
    with running(quiet=False, **ports, **chosen, outcome_url=_url("OUTCOME_URL")) as service:
        print(ready(service, KEPT if chosen["keep"] else KEPT_NOWHERE), flush=True)
        if chosen["tokens"]:
            print(TOKEN.format(url=service.url, sandbox=service.sandbox_url), flush=True)
        threading.Event().wait()
    return 0


def demo() -> int:
    from local.demo import demonstrate
    from local.service import running

    # Free ports of its own: a demo also works while `make run` is up.
    with running(quiet=False) as service:
        return demonstrate(service)


def ready(service: "Service", kept: str) -> str:
    return READY.format(
        url=service.url,
        kept=kept,
        region=service.region,
        sandbox=service.sandbox_url,
        provider=service.provider_url,
        log=service.log,
    )


def _or_one_line(command: Callable[[], int]) -> int:
    """What stops a run from outside is one line that names the cause; a defect of ours is not hidden."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    from local.instance import FunctionFailed

    try:
        return command()
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        cause = f"{error.strerror or error}{place}"
    except (BotoCoreError, ClientError, HTTPError, FunctionFailed) as error:
        cause = f"{type(error).__name__}: {error}"
    raise SystemExit(f"The local run cannot go on: {cause}")


def _switch(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _auth() -> str:
    text = os.environ.get("AUTH", "")
    if text not in ("", "iam", "token"):
        raise SystemExit(f"AUTH={text} is not known: give token, or nothing")
    return text


def _url(variable: str) -> str | None:
    text = os.environ.get(variable) or None
    if text is not None and not (urlsplit(text).scheme in ("http", "https") and urlsplit(text).hostname):
        raise SystemExit(f"{variable}={text} is no address: give http://127.0.0.1:PORT/path, or https://…")
    return text


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        raise SystemExit(f"{variable}={text} is not a port: give a number from 1 to 65535, or 0 for a free one")
    return int(text)


class Interrupt:
    """Ends the run. A second one must not interrupt the clean-up, unless that hangs or the first one was lost."""

    last = -CLEANED_UP

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        before, Interrupt.last = Interrupt.last, time.monotonic()
        if Interrupt.last - before > CLEANED_UP:
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
