"""`python -m infra.versions list|prune ENVIRONMENT`: the versions that a stack can go back to, and those too old.

A deployment keeps the version before it, so they grow by one each. Never deletes one that an alias leads to, and never
the newest ten.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra import environments
from infra.account import Account, Refused

KEPT = 10


@dataclass(frozen=True)
class Version:
    function: str
    number: int
    published: str
    code: str  # the same for what was released together
    live: bool


def versions_of(account: Account, function: str) -> list[Version]:
    """The published versions of a function, oldest first. Raises Refused."""
    aliases = account.pages("lambda", "list_aliases", "Aliases", FunctionName=function)
    found = account.pages("lambda", "list_versions_by_function", "Versions", FunctionName=function)
    led_to = led_to_by(aliases)
    published = [each for each in found if each["Version"] != "$LATEST"]
    return sorted(
        (
            Version(
                function, int(each["Version"]), each["LastModified"], each["CodeSha256"][:8], each["Version"] in led_to
            )
            for each in published
        ),
        key=lambda version: version.number,
    )


def led_to_by(aliases: Iterable[Mapping[str, Any]]) -> set[str]:
    """The versions that an alias leads to; while a release is under way, it leads to two."""
    return {
        version
        for alias in aliases
        for version in (
            alias["FunctionVersion"],
            *(alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {}),
        )
    }


def too_old(versions: list[Version]) -> list[Version]:
    return [version for version in versions[:-KEPT] if not version.live]


def show(account: Account) -> None:
    """Raises Refused."""
    for function in account.resources("AWS::Lambda::Function"):
        print(function)
        for version in versions_of(account, function):
            print(f"  {version.number:>5}  {version.published}  {version.code}{'  live' if version.live else ''}")


def prune(account: Account) -> None:
    """Raises Refused."""
    for function in account.resources("AWS::Lambda::Function"):
        versions = versions_of(account, function)
        old = too_old(versions)
        for version in old:
            account.call("lambda", "delete_function", FunctionName=function, Qualifier=str(version.number))
        print(f"{function}: {len(versions) - len(old)} kept, {len(old)} deleted")


COMMANDS: dict[str, Callable[[Account], None]] = {"list": show, "prune": prune}


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(prog="python -m infra.versions", description=(__doc__ or "").split("\n\n")[1])
    known.add_argument("command", choices=COMMANDS)
    known.add_argument("environment", choices=environments.ENVIRONMENTS)
    return known


def main(arguments: list[str]) -> int:
    chosen = parser().parse_args(arguments)
    try:
        COMMANDS[chosen.command](Account(environments.named(chosen.environment)))
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
