"""`python -m local up`: the whole service until Ctrl-C. `python -m local demo`: one void from hold to record.

Prints what it is doing while it sets up, then the credentials and calls that work when pasted.
"""

import os
import re
import signal
import sys
import threading
from types import FrameType

from local.demo import demonstrate
from local.service import Service, running

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY = """
The void service is up. Everything is on this machine; Ctrl-C stops it.
Its records, holds and webhooks are in memory only: they are gone when it stops.

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
                return up(_port("PORT", 8080), _port("SANDBOX_PORT", 8081))
            case ["demo"]:
                return demo()
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        return 0
    except OSError as error:
        # A checkout that cannot be written, a full disk: a traceback would not say more.
        place = f": {error.filename}" if error.filename else ""
        raise SystemExit(f"The local run cannot go on: {error.strerror or error}{place}") from None
    print("usage: python -m local up | demo", file=sys.stderr)
    return 2


def up(port: int, sandbox_port: int) -> int:
    with running(port, sandbox_port, quiet=False) as service:
        print(ready(service), flush=True)
        threading.Event().wait()
    return 0


def demo() -> int:
    # Free ports of its own: a demo also works while `make run` is up.
    with running(quiet=False) as service:
        return demonstrate(service)


def ready(service: Service) -> str:
    return READY.format(
        url=service.url,
        region=service.region,
        sandbox=service.sandbox_url,
        provider=service.provider_url,
        log=service.log,
    )


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
