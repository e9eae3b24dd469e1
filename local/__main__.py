"""`python -m local up`: the whole service until Ctrl-C. `python -m local demo`: one void from hold to record.

Prints what it is doing while it sets up, then the credentials and calls that work when pasted.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:  # the rest is imported where a Ctrl-C is already taken
    from local.service import Service

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEPT_NOWHERE = "Its records, holds and webhooks are in memory only: they are gone when it stops (KEEP=1 keeps them)."
KEPT = "Its records, holds and webhooks are kept in .cache: the next run with KEEP=1 has them again."
READY = """
The void service is up. Everything is on this machine; Ctrl-C stops it.
{kept}

  API              {url}/v1
  console          {url}/           (in a browser; the API reference is {url}/reference)
  credentials      access key local, secret key local-secret, region {region}
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


def main(arguments: list[str]) -> int:
    for stop in STOP_SIGNALS:
        signal.signal(stop, _interrupt)
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

    keep, show = _switch("KEEP"), _switch("EVENTS")
    ports = {"port": _port("PORT", 8080), "sandbox_port": _port("SANDBOX_PORT", 8081)}
    with running(quiet=False, **ports, keep=keep, show_events=show, outcome_url=_url("OUTCOME_URL")) as service:
        print(ready(service, KEPT if keep else KEPT_NOWHERE), flush=True)
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

    from local.runtime import FunctionFailed

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


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)  # a second one must not interrupt the clean-up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
