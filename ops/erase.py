"""Removes what people wrote about an order: its comment and free texts. What happened when stays."""

from ops.commands import Arguments
from ops.places import OpsError, Place
from ops.screen import Screen


def erase(place: Place, chosen: Arguments, screen: Screen) -> None:
    raise OpsError("not yet")
