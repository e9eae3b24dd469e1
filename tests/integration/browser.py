"""Headless Chromium over its own debugging pipe, without a driver: tabs that share nothing, and what a person does
there. Without Chromium on PATH a test that needs it is skipped."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
KEYS = {"Tab": 9, "Enter": 13, "ArrowDown": 40}


class Page:
    """One browser process and the tab that is open in it. Messages are JSON that ends with NUL, both ways."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._buffer, self._count = to_browser, from_browser, b"", 0
        self._tab: dict[str, str] = {}
        self.problems: list[str] = []

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | self._tab
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            continue
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = os.read(self._from, 1 << 16)
            assert received, "the browser ended"
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]["exceptionDetails"]))
            case "Log.entryAdded" if message["params"]["entry"]["source"] == "security":
                self.problems.append(message["params"]["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.problems.append("a dialog opened")
        return message

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A tab with a storage of its own, in which nothing may go wrong."""
        self.problems, self._tab = [], {}
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        try:
            self._tab = {"sessionId": self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
            for domain in ("Page", "Runtime", "Log"):
                self.command(f"{domain}.enable")
            self.window("1280")
            yield
            assert self.problems == []
        finally:
            self._tab = {}
            self.command("Target.disposeBrowserContext", browserContextId=context)

    def go(self, url: str) -> None:
        """A page loaded from the start, also where only the part behind `#` differs."""
        self.command("Page.navigate", url="about:blank")
        self.command("Page.navigate", url=url)

    def before_each_page(self, script: str) -> None:
        """Runs ahead of the page's own scripts from now on."""
        self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    def js(self, code: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def scripts(self, on: str) -> None:
        """`on` or `off`."""
        self.command("Emulation.setScriptExecutionDisabled", value=on == "off")

    def wait(self, expression: str, seconds: float = 20, every: float = 0.1) -> None:
        """Until it is true. A page that is still loading is asked again."""
        give_up = time.monotonic() + seconds
        while not self.js(f"(async () => Boolean(await ({expression})))().catch(() => false)"):
            assert time.monotonic() < give_up, (expression, self.js("document.body?.innerText"), self.problems)
            time.sleep(every)

    def press(self, key: str) -> None:
        known = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.command("Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else "", **known)
        self.command("Input.dispatchKeyEvent", type="keyUp", **known)

    def click(self, selector: str) -> None:
        self._on(selector, "click()")

    def type(self, selector: str, text: str) -> None:
        self._on(selector, "select()")
        self.command("Input.insertText", text=text)

    def _on(self, selector: str, call: str) -> None:
        node = f"document.querySelector({json.dumps(selector)})"
        self.wait(node)
        self.js(f"{node}.{call}")

    def window(self, width: str, height: str = "800") -> None:
        size = {"width": int(width), "height": int(height)}
        self.command("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)

    def media(self, name: str) -> None:
        """`print`, or what the system says of its scheme: `light` or `dark`."""
        scheme = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        self.command("Emulation.setEmulatedMedia", **({"media": name} if name == "print" else scheme))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    command = [CHROMIUM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={folder}", "--disable-gpu"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium's own does not work for root, as in most containers
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # Chromium reads from 3 and writes to 4.
    shell = f'exec "$@" 3<&{commands_out} 4>&{answers_in}'
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    ours, theirs = (commands_in, answers_out), (commands_out, answers_in)
    browser = subprocess.Popen(["/bin/bash", "-c", shell, "chromium", *command], pass_fds=theirs, **quiet)
    for end in theirs:
        os.close(end)
    try:
        yield Page(*ours)
    finally:
        for end in ours:
            os.close(end)
        browser.terminate()
        browser.wait(20)
