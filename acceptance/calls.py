"""Calls of AWS as rows.toml lists them: service, operation, parameters, and what of an answer the next ones need."""

from collections.abc import Mapping
from functools import reduce
from string import Template
from typing import Any

from acceptance.rows import FACTS
from acceptance.site import Site

MARK = "void-service-acceptance"
"""Name of the policies, label of the secret's version, description of the function's version."""


def play(site: Site, name: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make these calls in turn; what is known at their end. A call of a waiter waits."""
    filled = {"mark": MARK, "temporary": site.temporary, "region": site.place.region, **(known or {})}
    for service, operation, parameters, *kept in FACTS["calls"][name]:
        client, asked = site.client(service), fill(parameters, filled)
        waits = operation in client.waiter_names
        answer = (client.get_waiter(operation).wait if waits else getattr(client, operation))(**asked)
        filled |= {one: reduce(_inside, path.split("."), answer) for names in kept for one, path in names.items()}
    return filled


def _inside(found: Any, name: str) -> Any:
    return found[int(name)] if isinstance(found, list) else found.get(name)


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
