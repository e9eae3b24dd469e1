"""In how many hours each custom metric is sent: what AWS bills them by. Simulated for a quiet month and a usual one."""

from collections.abc import Mapping
from typing import Any

from tests.alarms.evaluator import MINUTE_MS
from tests.alarms.service import START, Service

DAYS = 3
VOIDS_A_DAY = 33
QUIET = ""
# Over the day's fourteen busy hours; of the hundred one answer is lost, and one void is refused.
THOUSAND = "; ".join(
    f"{day * 1440 + 480}-{day * 1440 + 1320}/{14 * 3600 // VOIDS_A_DAY} patient_void" for day in range(DAYS)
)
THOUSAND += "; 600 posts loses-answers; 600.1 void; 600.5 posts up; 2100 posts refuses; 2100.1 void; 2100.2 posts up"


def metric_months(template: Mapping[str, Any], script: str) -> float:
    """The sum over all custom metrics of the share of hours in which each was sent."""
    service = Service(template, DAYS * 24 * 60)
    service.tell(script)
    service.run()
    sent = {
        (name, (minute - START // MINUTE_MS) // 60)
        for (namespace, name, _), minutes in service.account.metrics.minutes.items()
        if namespace == service.account.namespace
        for minute in minutes
    }
    return round(len(sent) / (DAYS * 24), 2)
