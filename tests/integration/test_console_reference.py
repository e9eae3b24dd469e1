"""The page of the API's reference in a real browser: what it shows, signs and sends."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.browser import Page
from tests.integration.client import Client
from tests.integration.story import Story, unique

pytestmark = pytest.mark.proof
ROOT = Path(__file__).parents[2]


@pytest.fixture
def story(page: Page, client: Client) -> Story:
    return Story(page, client, {})


def answer_to(page: Page, block: str) -> str:
    """Opens an operation's block if need be and sends its example; the expression of the answer's row."""
    answer, button = f"all('{block} .live-responses-table tbody .response')[0]", f"all('{block} .btn.execute')[0]"
    page.wait(f"{button} || all('{block} .opblock-summary-control')[0].click()")
    # A click is lost while Swagger UI is still resolving the operation, so it is repeated: slowly, an answer takes a while.
    for _ in range(10):
        page.js(f"{button}.click()")
        with suppress(AssertionError):
            page.wait(answer, 2)
            return answer
    raise AssertionError((block, page.text(), page.problems))


def test_the_reference_shows_every_operation_and_sends_its_examples(page: Page, story: Story) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    operations = {spec["operationId"]: spec for item in document["paths"].values() for spec in item.values()}
    story.play(f"go reference -> {len(operations)} .opblock")
    story.play("click #hold button -> #hold [role=status] ~ holds 100 UAH for order 123")
    for name, spec in operations.items():
        block = f"#operations-{spec['tags'][0]}-{name}"
        answer = answer_to(page, block)
        rows = f"all('{block} .responses-table:not(.live-responses-table) > tbody > tr')"
        assert page.js(f"{rows}.map((row) => row.dataset.code)") == list(spec["responses"])
        # The example webhook is signed with another secret, so it is refused; no signed request may be.
        status = page.js(f"{answer}.innerText").split()[0]
        assert status in (("200", "404", "409") if spec["security"] else ("401",)), name
        assert ("--aws-sigv4" in page.js(f"all('{block} .curl')[0].innerText")) is bool(spec["security"])


@pytest.mark.parametrize("like", ["a/b é", "it's (1)*!", "%2e%2e"])
def test_the_reference_signs_what_is_typed_in(page: Page, story: Story, like: str) -> None:
    order_id, block = f"{like} {unique('')}", "#operations-merchant-readVoid"
    story.void(order_id, comment="<img src=x><script></script>")
    story.go("reference#/merchant/readVoid")
    answer = answer_to(page, block)  # what is typed in before the operation is resolved would be lost
    page.type(f"{block} [data-param-name=order_id] input", order_id)
    page.js("document.activeElement.blur()")  # as a real click on the button does: Swagger UI takes the text then
    page.click(f"{block} .btn.execute")
    # The answer to the example may still be shown: only this order's own counts.
    page.wait(f"{answer}?.innerText.includes({json.dumps(json.dumps(order_id, ensure_ascii=False))})")
    assert page.js(answer + """.innerText.includes('"state": "voided"')""")
    assert page.js(f"{answer}.querySelectorAll('img, script').length") == 0


def test_the_reference_keeps_the_digits_of_amounts_and_follows_the_scheme(page: Page, story: Story) -> None:
    story.play("""
        go reference -> .opblock
        media light -> no html.dark-mode
        media dark -> html.dark-mode
        js window.fetch = async () => new Response('{"amount": 100.00}', {status: 200, headers: {'Content-Type': 'application/json'}})
    """)
    answer = answer_to(page, "#operations-merchant-listVoids")
    assert '"amount": 100.00' in page.js(f"{answer}.innerText")
