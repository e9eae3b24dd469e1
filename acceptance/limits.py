"""How long an acceptance waits for what comes by itself, and what the team allows it to do. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for what comes by itself."""

    webhook: float = 300
    """Until a webhook counts as not sent."""
    more_webhooks: float = 60
    again: float = 900
    """Until a refused webhook counts as not sent again."""
    query: float = 150
    """The service lets an absence count after 145 s: a lease of 25 s and a window of 120 s."""
    lag: float = 3600
    """By which a list may lag behind a message; nobody waits for it: a later run finds it passed."""
    every: float = 2
    event: float = 180
    outage: float = 60
    rights: float = 20
    """IAM takes effect some seconds later."""
    logs: float = 90
    metrics: float = 420
    history: float = 60
    release: float = 120


LOCAL_PATIENCE = Patience(
    webhook=8, more_webhooks=1, again=5, query=4, lag=3, every=0.2, event=8, outage=2, rights=0, logs=0, metrics=0,
    history=2, release=0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the team gave on the command line: holds, profiles of AWS, files with tokens."""

    holds: tuple[str, ...] = ()
    second_void: bool = False
    expired_profile: str | None = None
    denied_profile: str | None = None
    merchant_profile: str | None = None
    token: str | None = None
    expired_token: str | None = None
