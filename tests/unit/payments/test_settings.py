"""Every environment variable is checked once; an error names the variable and never repeats its value."""

from collections.abc import Callable
from typing import Any

import pytest

from payments import settings
from payments.settings import ProviderSettings, SettingsError, StorageSettings
from payments.signatures import Scheme

Reader = Callable[[dict[str, str]], object]
GOOD = {
    "TABLE_NAME": "t", "SECRET_ID": "s", "PROVIDER_URL": "https://api.finline.io/", "WEBHOOK_URL": "https://w.example/x",
}  # fmt: skip
URL = "https://api.finline.io"
SCHEMES, ORIGIN = "PROVIDER_SCHEME is not one of CPAY, CPAY-HMAC, CPAY-SHA1", "PROVIDER_URL is not an https:// origin"
WORKERS = "SETTLE_WORKERS is not a whole number from 1 to 64"
READERS: dict[str, Reader] = {
    "TABLE_NAME": settings.storage, "SECRET_ID": settings.storage, "PROVIDER_URL": settings.provider, "WEBHOOK_URL": settings.webhook_url,
}  # fmt: skip
READ: dict[str, tuple[Reader, dict[str, str], Any]] = {
    "storage": (settings.storage, {}, StorageSettings("t", "s")),
    "provider": (settings.provider, {}, ProviderSettings(URL, Scheme.PLAIN, None)),
    "webhook": (settings.webhook_url, {}, "https://w.example/x"),
    **{scheme: (settings.provider, {"PROVIDER_SCHEME": scheme.value}, ProviderSettings(URL, scheme, None)) for scheme in Scheme},
    **{f"trust {file!r}": (settings.provider, {"PROVIDER_CA_FILE": file}, ProviderSettings(URL, Scheme.PLAIN, file or None)) for file in ("/ca.pem", "")},
    "kept days": (settings.storage, {"KEEP_SETTLED_DAYS": "400"}, StorageSettings("t", "s", 400)),
    "workers": (settings.settle_workers, {}, 8),
    **{f"{text} workers": (settings.settle_workers, {"SETTLE_WORKERS": text}, int(text)) for text in ("1", "64", "008")},
}  # fmt: skip
REFUSED: dict[str, tuple[Reader, dict[str, Any], str]] = {
    **{f"{name} {value!r}": (read, {name: value}, f"{name} is not set") for name, read in READERS.items() for value in ("", None)},
    **{f"scheme {each!r}": (settings.provider, {"PROVIDER_SCHEME": each}, SCHEMES) for each in ("", "cpay", "CPAY-HMAC-SHA256")},
    **{f"url {each!r}": (settings.provider, {"PROVIDER_URL": each}, ORIGIN) for each in (
        "http://api.finline.io", "api.finline.io", "https://", "https://x/path", "https://x?q=1", "https://x#f")},
    "too few kept days": (settings.storage, {"KEEP_SETTLED_DAYS": "399"}, "KEEP_SETTLED_DAYS is not a whole number from 400 to 36500"),
    **{f"workers {each!r}": (settings.settle_workers, {"SETTLE_WORKERS": each}, WORKERS) for each in ("0", "65", "-1", "x", "", "1.5", "٣", "0008")},
}  # fmt: skip


@pytest.mark.parametrize(("read", "changes", "found"), READ.values(), ids=READ)
def test_a_setting_is_read(read: Reader, changes: dict[str, str], found: object) -> None:
    assert read({**GOOD, **changes}) == found


@pytest.mark.parametrize(("read", "changes", "said"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_setting_is_named_without_its_value(read: Reader, changes: dict[str, str | None], said: str) -> None:
    environ = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(SettingsError, match=f"^{said}$"):
        read(environ)
