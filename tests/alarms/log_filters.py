"""What a metric filter of CloudWatch Logs makes of a line of JSON, as far as our patterns go.

After "Using filter patterns to match terms in JSON log events". Promises to refuse a pattern that it does not know.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_TOKEN = re.compile(r'\s*(?:(?P<sign>[{}()]|&&|\|\||!=|=)|(?P<field>\$\.\w+)|"(?P<text>[^"]*)")')


def matches(pattern: str, line: str) -> bool:
    """Does the line match? One that is not JSON matches nothing."""
    try:
        document = json.loads(line)
    except ValueError:
        return False
    reader = _Reader(pattern, document)
    reader.take("{")
    holds = reader.either()
    reader.take("}")
    if reader.tokens:
        raise ValueError(f"left over: {reader.tokens} of {pattern}")
    return holds


class _Reader:
    """A recursive descent over the pattern of one line."""

    def __init__(self, pattern: str, document: Mapping[str, Any]) -> None:
        self.tokens, self.document = list(_tokens(pattern)), document

    def take(self, expected: str | None = None) -> str:
        if not self.tokens or expected not in (None, self.tokens[0]):
            raise ValueError(f"{expected} expected before {self.tokens}")
        return self.tokens.pop(0)

    def next_is(self, token: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == token

    def either(self) -> bool:
        holds = self.both()
        while self.next_is("||"):
            self.take()
            holds = self.both() or holds
        return holds

    def both(self) -> bool:
        holds = self.one()
        while self.next_is("&&"):
            self.take()
            holds = self.one() and holds
        return holds

    def one(self) -> bool:
        if self.next_is("("):
            self.take()
            holds = self.either()
            self.take(")")
            return holds
        field, sign, wanted = self.take(), self.take(), self.take()
        if not field.startswith("$.") or sign not in ("=", "!=") or not wanted.startswith('"'):
            raise ValueError(f"a comparison that is not known here: {field} {sign} {wanted}")
        value = self.document.get(field.removeprefix("$."))
        return isinstance(value, str) and _equals(wanted[1:], value) is (sign == "=")


def _tokens(pattern: str) -> Iterator[str]:
    at = 0
    while pattern[at:].strip():
        match = _TOKEN.match(pattern, at)
        if match is None:
            raise ValueError(f"{pattern[at:]} in {pattern}")
        yield match["sign"] or match["field"] or f'"{match["text"]}'
        at = match.end()


def _equals(wanted: str, value: str) -> bool:
    """`*` stands for anything, at the beginning or at the end."""
    inner = wanted.removeprefix("*").removesuffix("*")
    if "*" in inner:
        raise ValueError(f"a wildcard inside of {wanted}")
    any_before, any_after = wanted.startswith("*"), wanted.endswith("*") and len(wanted) > 1
    return bool(re.fullmatch(f"{'.*' if any_before else ''}{re.escape(inner)}{'.*' if any_after else ''}", value))
