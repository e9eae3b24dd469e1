"""What a metric filter of CloudWatch Logs makes of a line of JSON, as far as our patterns go.

After "Using filter patterns to match terms in JSON log events". Promises to refuse a pattern that it does not know.
"""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

_COMPARISON = re.compile(r'\$\.(\w+)\s*(!?=)\s*"(\*?)([^"*]*)(\*?)"')


@functools.lru_cache(maxsize=10_000)
def matches(pattern: str, line: str) -> bool:
    """Does the line match? One that is not JSON matches nothing. Raises ValueError."""
    try:
        document = json.loads(line)
    except ValueError:
        return False
    inner = re.fullmatch(r"\{(.*)\}", pattern.strip())
    logic = _COMPARISON.sub(lambda found: str(_holds(found, document)), inner[1] if inner else "")
    logic = logic.replace("&&", " and ").replace("||", " or ")
    if not re.fullmatch(r"(?:True|False|and|or|[() ])+", logic):
        raise ValueError(f"a pattern that is not known here: {pattern}")
    return bool(eval(logic))  # noqa: S307 of six words only


def _holds(found: re.Match[str], document: Mapping[str, Any]) -> bool:
    """`*` stands for anything, at the beginning or at the end."""
    field, sign, before, text, after = found.groups()
    value = document.get(field)
    wanted = f"{'.*' if before else ''}{re.escape(text)}{'.*' if after else ''}"
    return isinstance(value, str) and bool(re.fullmatch(wanted, value)) is (sign == "=")
