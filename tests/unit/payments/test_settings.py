"""Every environment variable is checked once; an error names the variable and never repeats its value."""

import pytest

from payments import settings
from payments.settings import SettingsError
from payments.signatures import Scheme

GOOD = {
    "TABLE_NAME": "t", "SECRET_ID": "s", "PROVIDER_URL": "https://api.finline.io/", "WEBHOOK_URL": "https://w.example/x",
}  # fmt: skip


def test_good_settings_are_read() -> None:
    assert settings.storage(GOOD) == settings.StorageSettings("t", "s")
    assert settings.provider(GOOD) == settings.ProviderSettings("https://api.finline.io", Scheme.PLAIN, None)
    assert settings.webhook_url(GOOD) == "https://w.example/x"


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_or_empty_variable_is_named(name: str, empty: bool) -> None:
    environ = {**GOOD, name: ""} if empty else {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(SettingsError, match=f"^{name} is not set$"):
        settings.storage(environ)
        settings.provider(environ)
        settings.webhook_url(environ)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_each_scheme_can_be_chosen(scheme: Scheme) -> None:
    assert settings.provider({**GOOD, "PROVIDER_SCHEME": scheme.value}).scheme is scheme


@pytest.mark.parametrize("scheme", ["", "cpay", "CPAY-HMAC-SHA256"])
def test_another_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(SettingsError, match="^PROVIDER_SCHEME is not one of CPAY, CPAY-HMAC, CPAY-SHA1$"):
        settings.provider({**GOOD, "PROVIDER_SCHEME": scheme})


@pytest.mark.parametrize(
    "url", ["http://api.finline.io", "api.finline.io", "https://", "https://x/path", "https://x?q=1", "https://x#f"]
)
def test_the_provider_is_reached_by_https_only(url: str) -> None:
    with pytest.raises(SettingsError, match="^PROVIDER_URL is not an https:// origin$") as raised:
        settings.provider({**GOOD, "PROVIDER_URL": url})
    assert url not in str(raised.value).replace("https:// origin", "")


def test_a_trust_file_may_be_named() -> None:
    assert settings.provider({**GOOD, "PROVIDER_CA_FILE": "/ca.pem"}).ca_file == "/ca.pem"
    assert settings.provider({**GOOD, "PROVIDER_CA_FILE": ""}).ca_file is None


@pytest.mark.parametrize(("value", "workers"), [(None, 8), ("1", 1), ("64", 64), ("008", 8)])
def test_settle_workers_have_a_default(value: str | None, workers: int) -> None:
    assert settings.settle_workers({} if value is None else {"SETTLE_WORKERS": value}) == workers


@pytest.mark.parametrize("value", ["0", "65", "-1", "x", "", "1.5", "٣", "0008"])
def test_wrong_settle_workers_are_named(value: str) -> None:
    with pytest.raises(SettingsError, match="^SETTLE_WORKERS is not a whole number from 1 to 64$"):
        settings.settle_workers({"SETTLE_WORKERS": value})
