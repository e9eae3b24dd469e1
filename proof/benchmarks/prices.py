"""AWS's list prices, in one place: US dollars, without free tier, discounts, taxes and higher volumes' lower prices.

Never fetched. After a change of a price, change `TAKEN` too and run `python -m proof.benchmarks.cost --again`.
"""

from dataclasses import dataclass

TAKEN = "2026-11-24"
"""The day on which the prices were looked up."""
REGION = "eu-central-1"
"""Where the service is deployed by default."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """One region's. The unit is in the name."""

    api_million: float  # requests to a REST API
    lambda_million: float  # requests
    lambda_gb_second: float  # arm64; since August 2025 init is billed like any other time
    write_million: float  # DynamoDB write request units, on demand
    read_million: float  # DynamoDB read request units, on demand
    table_gb_month: float
    backup_gb_month: float  # point-in-time recovery
    logs_gb: float  # taken in by CloudWatch Logs; a metric in embedded metric format is log text first
    logs_gb_month: float  # kept, compressed
    transfer_gb: float  # from AWS to the internet
    pipe_million: float  # EventBridge Pipes: what is left after the pipe's filter
    bus_million: float  # custom events put on a bus
    schedule_million: float  # EventBridge Scheduler, invocations
    trace_million: float  # X-Ray, traces recorded
    secret_call_million: float  # Secrets Manager, API calls
    key_call_million: float  # KMS, API calls, with a key of one's own only
    secret_month: float
    key_month: float
    metric_month: float  # CloudWatch custom metric, the first 10,000
    alarm_month: float  # for each metric that an alarm of standard resolution reads
    dashboard_month: float
    token_thousand: float  # Cognito, access tokens for client credentials


PRICES = {
    "eu-central-1": Prices(
        api_million=3.70,
        lambda_million=0.20,
        lambda_gb_second=0.0000133334,
        write_million=0.7625,
        read_million=0.1525,
        table_gb_month=0.306,
        backup_gb_month=0.2448,
        logs_gb=0.63,
        logs_gb_month=0.0324,
        transfer_gb=0.09,
        pipe_million=0.40,
        bus_million=1.00,
        schedule_million=1.00,
        trace_million=5.00,
        secret_call_million=5.00,
        key_call_million=3.00,
        secret_month=0.40,
        key_month=1.00,
        metric_month=0.30,
        alarm_month=0.10,
        dashboard_month=3.00,
        token_thousand=2.25,
    ),
    # AWS's own examples are in this region's prices, and so were our figures before there was a table to compute them.
    "us-east-1": Prices(
        api_million=3.50,
        lambda_million=0.20,
        lambda_gb_second=0.0000133334,
        write_million=0.625,
        read_million=0.125,
        table_gb_month=0.25,
        backup_gb_month=0.20,
        logs_gb=0.50,
        logs_gb_month=0.03,
        transfer_gb=0.09,
        pipe_million=0.40,
        bus_million=1.00,
        schedule_million=1.00,
        trace_million=5.00,
        secret_call_million=5.00,
        key_call_million=3.00,
        secret_month=0.40,
        key_month=1.00,
        metric_month=0.30,
        alarm_month=0.10,
        dashboard_month=3.00,
        token_thousand=2.25,
    ),
}
