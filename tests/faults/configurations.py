"""What may happen in the schedules: each configuration opens some faults and closes others, so that few steps reach far."""

from tests.faults.simulator import Config

TWO = (("K1", None), ("K2", None))


def _all() -> list[Config]:
    c = Config
    return [
        c("plain", crash=1, loss=1, double=1, outcomes="spfrmtc5"),
        c("store", store=2, crash=1, outcomes="s", runs=2),
        c("store2", TWO, store=2, loss=1, outcomes="sf", executes=True, late=True, runs=2),
        c("answers", TWO, outcomes="spfrmtc56g", crash=1, loss=1, runs=2, executes=True),
        c("executes", TWO, executes=True, crash=1, loss=2, outcomes="sf", late=True),
        c("refuses", TWO, crash=1, loss=2, outcomes="spf", late=True),
        c("same-key", (("K1", None), ("K1", None)), executes=True, outcomes="sprtc", crash=1, loss=1, store=1),
        c("same-key-late", (("K1", None), ("K2", None), ("K1", None)), executes=True, outcomes="sf", loss=2, late=True, runs=4),
        c("other-body", (("K1", None), ("K1", "x"), (None, None)), executes=True, outcomes="sf", crash=1, loss=1),
        c("no-key", ((None, None), (None, None)), executes=True, outcomes="spr", crash=1, loss=2, late=True),
        c("three", (("K1", None), ("K2", None), ("K3", None)), executes=True, outcomes="sf", loss=3, late=True, lazy=True, runs=5, clocks=6),
        c("failures", TWO, outcomes="fsp", loss=2, blind=1, late=True, executes=True),
        c("another-attempt", TWO, first="f", outcomes="sf", loss=2, late=True, lazy=True, executes=True),
        c("portal", TWO, portal="vpfc", outcomes="spf", loss=1, blind=1, crash=1),
        c("portal-late", TWO, portal="vpc", outcomes="sf", loss=2, late=True, blind=1),
        c("webhooks", double=2, loss=1, forged=1, outcomes="spf", crash=2, store=1, runs=1, clocks=2),
        c("previous", previous=True, double=1, forged=1, outcomes="sp", loss=1, crash=1, runs=1, clocks=2, secret=1),
        c("lying", TWO, lying=True, executes=True, outcomes="sp", double=1, loss=1, late=True),
        c("blind", TWO, blind=3, outcomes="sprm", loss=1, executes=True, late=True, runs=4),
        c("slow", TWO, ticks=2, loss=1, outcomes="s", executes=True, late=True, lazy=True),
        c("unbounded", TWO, bounded=False, outcomes="s", loss=1, blind=1, late=True, lazy=True),
        c("refresh", TWO, refresh=2, loss=2, outcomes="spf", executes=True, late=True, lazy=True),
        c("stuck", TWO, stuck=True, outcomes="pf", loss=2, executes=True, refresh=1, late=True, lazy=True),
        c("ahead", TWO, skew=2_000, outcomes="s", loss=2, crash=1, executes=True, late=True, lazy=True),
        c("behind", TWO, skew=-2_000, outcomes="s", loss=2, crash=1, executes=True, late=True, lazy=True),
        c("secret", TWO, secret=2, crash=1, outcomes="st", loss=1),
        c("other-currency", (("K1", None), ("K2", None, "USD"), ("K3", None)), outcomes="srpx", loss=1, crash=1, runs=2),
        c("currency-late", (("K1", None, "USD"), ("K2", None), ("K1", None)), outcomes="sfxp", loss=2, late=True, executes=True, double=1),
        c("other-order", (("K1", None), ("K1", "x", "UAH", "order-2")), outcomes="spo", portal="voqc", foreign=True, blind=2, loss=1, crash=1),
        c("strangers", TWO, outcomes="sox", portal="oqv", foreign=True, blind=2, loss=1, executes=True, late=True, refresh=1, runs=4),
        c("two-orders", (("K1", None), ("K2", None, "UAH", "order-2"), ("K3", None)), outcomes="spf", loss=2, store=2, late=True, lazy=True, executes=True),
        c("outrun", store=1, portal="v", refresh=1, runs=0, clocks=0),
        c("permutations", outcomes="spf", loss=1, permute=True),
        c("permutations-lying", outcomes="sp", lying=True, permute=True),
        c("everything", TWO, executes=True, outcomes="spfrmtc56gxo", portal="vpfcoq", crash=2, loss=3, store=3, double=2,
          forged=1, foreign=True, blind=2, ticks=2, runs=4, refresh=1, clocks=6),
        c("everything-refused", (("K1", None), (None, None), ("K1", None)), outcomes="spfrmtc56g", portal="vpfc", crash=2,
          loss=3, store=3, double=2, blind=2, ticks=1, runs=4, refresh=1, clocks=6, late=True),
    ]  # fmt: skip


CONFIGURATIONS = {config.name: config for config in _all()}
