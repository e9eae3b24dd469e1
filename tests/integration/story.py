"""Stories, told in rows: `what is done -> what is then seen & what else is seen`. The files are in stories/. Each
begins with `# its title`; a line that begins with `;` says why. `{name}` is what the story was given, or else an order
of its own with such an id; `{name:5}` is the beginning of it, and a row that is nothing else stands for the rows given.
What is given, by turns, is in the tables before the rows: each row of one with each of the other; `…` makes it nobody
else's. What is done by the merchant and the provider is here; a player does the rest, and says what is seen."""

import inspect
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

import jmespath
import pytest

from local.sandbox.desk import DEFAULTS
from tests.integration.browser import Page
from tests.integration.client import Client
from tests.integration.clients.packages import locked

FOLDER = Path(__file__).parent / "stories"
NOTHING: dict[str, Any] = {}
TOLD = re.compile(r"(\S.*?) ([=~^]) (.*)")
SEES: dict[str, Callable[[Any, str], bool]] = {
    "=": lambda value, text: text == (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)),
    "~": lambda value, text: text in value,
    "^": lambda value, text: value.startswith(text),
}
TEXTS = {"=": "{0} === {1}", "~": "{0}.includes({1})", "^": "{0}.startsWith({1})"}


def stories(name: str) -> pytest.MarkDecorator:
    """Plays each story of a file, with each row of its tables, as `given` and `rows`."""
    _, *parts = re.split(r"^# (.+)\n", (FOLDER / f"{name}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [
        pytest.param({name: value for row in given for name, value in row.items()}, rows, id=title)
        for title, rows in zip(parts[::2], parts[1::2], strict=True)
        for given in itertools.product(*map(_given, re.findall(r"(?:^\|.*\n)+", rows, re.MULTILINE)))
    ]
    return pytest.mark.parametrize(("given", "rows"), found)


def _given(table: str) -> Iterator[dict[str, str]]:
    names, *values = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
    for row in values:
        yield dict(zip(names, (value.replace("…", uuid4().hex[:6]) for value in row), strict=True))


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


class Story:
    """What is done: a method for each thing. The names that are known, and what is shown just now."""

    writes: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    """How a name is filled in after which word: as it is, if none is named."""
    shown: Any = None

    def __init__(self, client: Client, **names: Any) -> None:
        self.client, self.names = client, names

    def play(self, rows: str, given: dict[str, Any] = NOTHING) -> None:
        self.names |= {name: self.fill(value) for name, value in given.items()}
        for row in map(str.strip, rows.splitlines()):
            if whole := re.fullmatch(r"\{(\w+)\}", row):
                self.play(self.names[whole[1]])
            elif row and row[0] not in ";|":
                try:
                    self._play(*f" {row}".partition(" -> ")[::2])
                except AssertionError as error:
                    raise AssertionError(f"in the row {row!r}: {error}") from error

    def _play(self, done: str, seen: str) -> None:
        action, _, rest = done.strip().partition(" ")
        if action:
            method = getattr(self, action)
            kinds = [parameter.kind for parameter in inspect.signature(method).parameters.values()]
            parts = rest.split(maxsplit=-1 if inspect.Parameter.VAR_POSITIONAL in kinds else max(len(kinds) - 1, 0))
            method(*(self.fill(part, self.writes.get(action, str)) for part in parts))
        for sight in filter(None, seen.split(" & ")):
            self.sees(sight.strip())

    def sees(self, sight: str) -> None:
        """Fails unless it is so: `expression = text`, `… ~ a part`, `… ^ its beginning`, `expression`, `no …` (JMESPath)."""
        plain = sight.removeprefix("no ")
        told = TOLD.fullmatch(plain)
        value = jmespath.search(self.fill(told[1] if told else plain), self.shown)
        found = SEES[told[2]](value, self.fill(told[3])) if told else bool(value)
        assert found is (plain == sight), f"{sight}: {value!r}"

    def fill(self, text: str, write: Callable[[Any], str] = str) -> str:
        def known(found: re.Match[str]) -> str:
            value = self.names.setdefault(found[1], unique(found[1]))
            return write(value[: int(found[2])] if found[2] else value)

        return re.sub(r"\{([a-z]+)(?::(\d+))?\}", known, text)

    def hold(self, order_id: str, *faults: str) -> None:
        self.client.hold(order_id, **dict(fault.split("=") for fault in faults))

    def void(self, order_id: str, *more: str) -> None:
        """A hold, what goes wrong with it, and the request to void it."""
        given = dict(pair.split("=", 1) for pair in more)
        comment = {"comment": given.pop("comment")} if "comment" in given else {}
        self.client.hold(order_id, **given)
        answer = self.client.submit(order_id, **comment)
        assert answer.status in (200, 202, 409), answer.body

    def report(self, order_id: str, *changes: str) -> None:
        self.client.report(order_id, **dict(change.split("=") for change in changes))

    def keep(self, name: str, expression: str) -> None:
        """What is shown gets a name."""
        self.names[name] = jmespath.search(expression, self.shown)

    def pause(self, seconds: str) -> None:
        time.sleep(float(seconds))


class Person(Story):
    """At the console. What the page itself can do is done by it. Seen, soon: `selector`, `no …`, `3 selector`, `25+
    selector`, `selector = text`, `selector ~ part of it`, `selector ^ its beginning`, `js expression`, `none expression
    of a list`."""

    writes: ClassVar = {"js": json.dumps, "answer": json.dumps}

    def __init__(self, page: Page, client: Client, **names: Any) -> None:
        super().__init__(client, **names)
        self.page = page
        page.before_each_page((FOLDER / "words.js").read_text(encoding="utf-8"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def sees(self, sight: str) -> None:
        if sight.startswith("none "):
            assert self.page.js(sight.removeprefix("none ")) == []
        else:
            self.page.wait(self._seen(sight))

    def _seen(self, sight: str) -> str:
        """The expression that is true then."""
        if sight.startswith("js "):
            return self.fill(sight[3:], json.dumps)
        if sight.startswith("no "):
            return f"!({self._seen(sight[3:])})"
        if counted := re.fullmatch(r"(\d+)(\+?) (.+)", sight):
            return f"all({json.dumps(counted[3])}).length {'>=' if counted[2] else '==='} {counted[1]}"
        if told := TOLD.fullmatch(sight):
            text = "document.body.innerText" if told[1] == "body" else f"all({json.dumps(told[1])})[0].textContent"
            return TEXTS[told[2]].format(text, json.dumps(self.fill(told[3])))
        return f"all({json.dumps(sight)}).some((node) => node.checkVisibility())"

    def form(self, order_id: str, *chosen: str) -> None:
        """The void of a new hold, by the form and its keyboard."""
        given = dict(pair.split("=", 1) for pair in chosen)
        comment = given.pop("comment", "")
        self.go("#new")
        self.page.wait("all('#faults select').length === 3 && all('#new')[0].checkVisibility()")
        for kind, name in (DEFAULTS | given).items():
            self.page.js(f"all('[name={kind}]')[0].value = {json.dumps(name)}")
        self.page.type("[name=order_id]", order_id)
        if comment:
            self.page.type("[name=comment]", comment)
        self.page.js("all('#create button')[0].focus()")
        self.page.press("Enter")
        self.page.wait(self._seen(f"#void-title = Order {order_id}"))

    def order(self, order_id: str) -> None:
        self.go(f"#order={quote(order_id, safe='')}")
        self.page.wait(self._seen(f"#void-title = Order {order_id}"))

    def list(self, place: str = "") -> None:
        self.go(f"#{place}")
        self.page.wait(self._seen("#connection = live"))

    def go(self, place: str) -> None:
        self.page.go(place if place.startswith("http") else f"{self.client.service.url}/{place.removeprefix('/')}")

    def at(self, place: str) -> None:
        self.page.js(f"location.hash = {json.dumps(place)}")

    def enter(self, selector: str, text: str) -> None:
        self.page.type(selector, text)
        self.page.press("Enter")

    def answer(self, script: str) -> None:
        self.page.before_each_page(f"answering({script})")

    def record(self, order_id: str) -> None:
        """The record, as the API shows it to others."""
        self.page.js(f"window.record = {json.dumps(self.client.read(order_id))}")

    def decide(self, decision: str, note: str) -> None:
        """Twice, if need be: the provider is queried first, and what is learned then makes another record."""
        self.page.js("all('#decide')[0].open = true")
        for _ in range(2):
            self.page.click(f"[name=decision][value={decision}]")
            self.page.type("[name=note]", note)
            self.page.click("#deciding button")
            with suppress(AssertionError):
                self.page.wait("all('#void .title .badge.review').length === 0", 5)
                break

    def forgive(self, what: str = "") -> None:
        """What went wrong was to: all of it speaks of this."""
        assert [each for each in self.page.problems if what in each] == self.page.problems != []
        self.page.problems.clear()

    def axe(self) -> None:
        """axe-core, which looks for what keeps people from using a page."""
        script = locked(Path(__file__).parent / "axe") / "node_modules" / "axe-core" / "axe.min.js"
        self.page.js(f"{script.read_text(encoding='utf-8')}; null")

    def send(self, block: str) -> None:
        """Opens an operation of the reference, if need be, and sends its example."""
        button = f"all('{block} .btn.execute')[0]"
        self.page.wait(f"{button} || all('{block} .opblock-summary-control')[0].click()")
        # A click is lost while Swagger UI is still resolving the operation, so it is repeated: slowly, an answer takes a while.
        self.page.wait(f"answered('{block}') || {button}.click()", every=1)
