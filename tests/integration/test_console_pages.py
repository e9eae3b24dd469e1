"""The pages of the browser console in a real browser: what a person sees, reaches and is shown (stories/console.txt).

Without Chromium these tests are skipped. Where the service would have to fail, the page's own `fetch` is made to.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.browser import Page
from tests.integration.client import Client
from tests.integration.order_ids import PATHS
from tests.integration.story import Person, Story, stories, unique
from tests.integration.test_console import HOSTILE, place_of, serving

pytestmark = pytest.mark.proof
ROOT = Path(__file__).parents[2]
STORIES = stories("console")
LONGEST_COMMENT = 2048
CURSOR = "x+/=&%?#~é" * 409 + "123456"  # 4,096 characters
OLD: dict[str, Any] = {
    "order_id": "old-1", "pos_id": "11111111-old", "state": "pending", "review": False, "history": [], "provider": None,
}  # fmt: skip
GIVEN: dict[str, Any] = {
    "hostile": HOSTILE, "old": OLD, "new": OLD | {"pos_id": "22222222-new"}, "cursor": CURSOR,
    "asked": f"/v1/voids?cursor={quote(CURSOR, safe='-._~')}&limit=25&state=unsettled",
}  # fmt: skip

LIGHT, DARK = {"scheme": "light", "ground": "rgb(246, 247, 249)"}, {"scheme": "dark", "ground": "rgb(16, 19, 24)"}
LOOKS: list[dict[str, Any]] = [LIGHT | {"width": 1280}, DARK | {"width": 320}, DARK | {"width": 1280}]
OPEN = [{"open": rows} for rows in (
    "list -> 25+ #lists a", "list new -> 25+ #lists a", "list overview -> 3 #charts table",
    "order {wordy} -> #void .panel & 25+ #lists a\n js all('details').forEach((item) => { item.open = true })",
)]  # fmt: skip
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "every order id goes there and back": [{"order": f"{like} {unique('')[-6:]}{like}"} for like in PATHS],
    "what is no order id is said and not requested": [
        {"order": "..", "says": "is not an order id"}, {"order": "0", "says": "is not an order id"},
        {"order": "a" * 33, "says": "33 characters"},
    ],
    "what the API says of an order id is said": [
        {"order": "e\u0301", "says": "This is not an order id. The API answered 400."},
        {"order": "nobody", "says": "No void was requested or reported for this order."},
    ],
    "a service that is away is said in a sentence": [{"how": "unreached"}, {"how": "cut"}],
    "prod cannot be mistaken": [{"place": place} for place in ("#list", "#overview", "#order=1", "#new")],
    "nothing is wider than a small screen, scrolls inside or is covered": OPEN,
    "axe finds nothing": [look | view for view in [*OPEN, {"open": "list state=settled"}] for look in LOOKS],
    "axe finds nothing while the console says what is wrong": [LIGHT, DARK],
    "axe finds nothing in the reference as it opens": LOOKS,
    "the reference signs what is typed in": [{"order": unique(like)} for like in ("a/b é", "it's (1)*!", "%2e%2e")],
}  # fmt: skip
CASES = [(title, given) for title in STORIES for given in VARIANTS.get(title, [{}])]


@pytest.fixture(scope="module")
def many(client: Client) -> Iterator[list[str]]:
    """More unsettled voids than one page of the list holds."""
    orders = [unique("many") for _ in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda order_id: client.hold(order_id, answer="pending", webhook="none"), orders))
        list(pool.map(client.submit, orders))
        yield orders
        list(pool.map(client.report, orders))


@pytest.fixture(scope="module")
def wordy(client: Client) -> str:
    """A refused void with the longest comment, in words that are hard to break."""
    order_id = client.hold(unique("wordy"), answer="http_400")
    client.submit(order_id, comment="Wörter🙂" * (LONGEST_COMMENT // 8))
    return order_id


@pytest.fixture(scope="module")
def deployed(client: Client) -> Iterator[str]:
    with serving(place_of(client.service, "local"), decides=True, voids=True) as found:
        yield found.url


@pytest.fixture
def story(page: Page, client: Client, many: list[str], wordy: str, deployed: str) -> Story:
    return Story(client, Person(page, client), **GIVEN, many=many[0], wordy=wordy, deployed=deployed)


@pytest.mark.parametrize(("title", "given"), CASES, ids=[title for title, _ in CASES])
def test_a_story(story: Story, title: str, given: dict[str, Any]) -> None:
    story.names |= given
    story.play(STORIES[title])


def test_the_list_goes_on_page_by_page_and_its_address_leads_back_there(
    page: Page, story: Story, many: list[str]
) -> None:
    seen, number = list[str](), 1
    story.play("list\n click [data-key=all-unsettled]")
    while True:
        page.wait(f"all('#page-number')[0].textContent === 'Page {number}' && listed().length > 0")
        page.wait(f"!{json.dumps(seen)}.includes(listed()[0])")
        seen += page.js("listed()")
        if page.js("all('#next')[0].getAttribute('aria-disabled') === 'true'"):
            break
        story.play("js all('#next')[0].focus()\n press Enter -> js document.activeElement.id === 'next'")
        number += 1
    assert number > 1
    assert set(many) <= set(seen)
    story.names |= {
        "place": page.js("location.hash.slice(1)"),
        "shown": page.js("listed().join()"),
        "before": number - 1,
    }
    story.play("""
        click #previous -> #page-number = Page {before} & js listed().length === 25
        list {place} -> js listed().join() === {shown}
        ; the cursors before are not known there
        click #previous -> #page-number = Page 1
    """)


def test_the_reference_shows_every_operation_and_sends_its_examples(page: Page, story: Story) -> None:
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
