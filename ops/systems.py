"""The functions' own table, secret and provider, with an operator's rights on one place. The same code as in Lambda,
but no merchant waits here: the clients' own timeouts decide how long a call may take."""

import os
import time
import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ops import places
from ops.places import OpsError, Place
from payments import settings
from payments.deadline import Deadline
from payments.provider import Provider
from payments.secret import Credentials, Secret
from payments.store import Store

if TYPE_CHECKING:
    from systems import Storage


def _patient(client: Any) -> Any:
    """An AWS client as the functions' code calls it, with seconds that do not count here."""
    return SimpleNamespace(call=lambda operation, _, **arguments: getattr(client, operation)(**arguments))


def secret(place: Place, variables: Mapping[str, str]) -> Secret:
    """The provider's credentials. Raises OpsError, SettingsError."""
    return Secret(_patient(place.client("secretsmanager")), settings.storage(variables).secret_id, now)


def credentials(secret: Secret, pos_id: str | None, deadline: Deadline) -> Credentials:
    """Those of a project; without a name the current ones. Raises OpsError, SecretError."""
    found = secret.of_project(pos_id, deadline) if pos_id else secret.current(deadline)
    if found is None:
        raise OpsError(f"the secret has no credentials of project {pos_id}, to which this belongs")
    return found


def provider(variables: Mapping[str, str]) -> Provider:
    """Financial Line, as the functions reach it. Raises SettingsError."""
    return Provider(settings.provider(variables))


def store(place: Place) -> Store:
    """The table, for whole orders: written under the functions' own conditions. Raises OpsError, SettingsError."""
    where = places.storage(place)
    return Store(_patient(place.client("dynamodb")), where.table_name, where.keep_settled_days)


def storage(place: Place) -> "Storage":
    """The table and the secret, as a function has them. Raises OpsError, SettingsError."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(name, None)  # the place has its credentials; a profile that this machine lacks ends the import
    from systems import Storage  # here: it sets up what a function stands on

    return Storage(store(place), secret(place, places.configuration(place)), now, new_id)


def deadline() -> Deadline:
    """A minute from now: more than any of these commands needs of its systems."""
    return Deadline(now() + 60_000, now)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    return uuid.uuid4().hex
