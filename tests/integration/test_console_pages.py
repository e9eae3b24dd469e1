"""The pages of the browser console in a real browser: what a person sees, reaches and is shown (stories/console.txt).
Without Chromium these tests are skipped. Where the service would have to fail, the page's own `fetch` is made to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.browser import Page
from tests.integration.client import Client
from tests.integration.story import Person, stories, unique
from tests.integration.test_console import HOSTILE, place_of, serving

pytestmark = pytest.mark.proof
ROOT = Path(__file__).parents[2]
CURSOR = "x+/=&%?#~é" * 409 + "123456"  # 4,096 characters
OLD: dict[str, Any] = {
    "order_id": "old-1", "pos_id": "11111111-old", "state": "pending", "review": False, "history": [], "provider": None,
}  # fmt: skip
GIVEN: dict[str, Any] = {
    "long": "Wörter🙂" * 256, "decomposed": "e\u0301", "hostile": HOSTILE, "old": OLD, "new": OLD | {"pos_id": "22222222-new"}, "cursor": CURSOR,
    "asked": f"/v1/voids?cursor={quote(CURSOR, safe='-._~')}&limit=25&state=unsettled",
}  # fmt: skip


@pytest.fixture(scope="module")
def many(client: Client) -> Iterator[list[str]]:
    """More unsettled voids than one page of the list holds."""
    orders = [unique("many") for _ in range(30)]
    for order_id in orders:
        client.submit(client.hold(order_id, answer="pending", webhook="none"))
    yield orders
    for order_id in orders:
        client.report(order_id)


@pytest.fixture(scope="module")
def deployed(client: Client) -> Iterator[str]:
    with serving(place_of(client.service, "local"), decides=True, voids=True) as found:
        yield found.url


@pytest.fixture
def story(page: Page, client: Client, many: list[str], deployed: str) -> Person:
    return Person(page, client, **GIVEN, many=many[0], deployed=deployed)


@stories("console")
def test_a_story(story: Person, given: dict[str, Any], rows: str) -> None:
    story.play(rows, given)


def test_the_reference_shows_every_operation_and_sends_its_examples(page: Page, story: Person) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    operations = {spec["operationId"]: spec for item in document["paths"].values() for spec in item.values()}
    story.play(f"go /reference -> {len(operations)} .opblock")
    story.play("click #hold button -> #hold [role=status] ~ holds 100 UAH for order 123")
    for name, spec in operations.items():
        block = f"#operations-{spec['tags'][0]}-{name}"
        story.play(f"send {block}")
        rows = f"all('{block} .responses-table:not(.live-responses-table) > tbody > tr')"
        assert page.js(f"{rows}.map((row) => row.dataset.code)") == list(spec["responses"])
        # The example webhook is signed with another secret, so it is refused; no signed request may be.
        status = page.js(f"answered('{block}').innerText").split()[0]
        assert status in (("200", "404", "409") if spec["security"] else ("401",)), name
        assert ("--aws-sigv4" in page.js(f"all('{block} .curl')[0].innerText")) is bool(spec["security"])
