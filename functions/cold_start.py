"""Imported first by each handler: garbage collection is off during init and on again afterwards.

Nothing that is imported is ever freed, and scanning for it costs a tenth of a cold start.
"""

import gc

TYPE_CHECKING = False  # as the type checker reads it; `typing` would be imported with the collector on
if TYPE_CHECKING:
    from collections.abc import Callable

    from systems import Storage

gc.disable()


def finish(build: "Callable[[], Storage]") -> None:
    """Build the clients and connect them while Lambda gives a full vCPU, then turn the collector on.

    What exists now is never scanned. A bad setting is reported by the first request, which builds again.
    """
    from contextlib import suppress

    from payments.settings import SettingsError

    with suppress(SettingsError):
        build().connect()
    gc.freeze()
    gc.enable()
