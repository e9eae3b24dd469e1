"""AWS's list prices, in one place: US dollars, without free tier, discounts, taxes and higher volumes' lower prices.

Never fetched. After a change of a price, change `TAKEN` too and run `python -m proof.benchmarks --again`.
"""

TAKEN = "2026-11-24"
"""The day on which the prices were looked up."""
REGIONS = ("eu-central-1", "us-east-1")
"""Where the service is deployed by default; where AWS's own examples are."""

Prices = dict[str, float]
TABLE = {
    "API request, million": (3.70, 3.50),  # of a REST API
    "Lambda request, million": (0.20, 0.20),
    "Lambda GB-second": (0.0000133334, 0.0000133334),  # arm64; init is billed like any other time
    "write unit, million": (0.7625, 0.625),  # DynamoDB on demand
    "read unit, million": (0.1525, 0.125),
    "table GB-month": (0.306, 0.25),
    "backup GB-month": (0.2448, 0.20),  # point-in-time recovery
    "log GB": (0.63, 0.50),  # taken in; a metric in embedded metric format is log text first
    "log GB-month": (0.0324, 0.03),  # kept, compressed
    "transfer GB": (0.09, 0.09),  # from AWS to the internet
    "pipe event, million": (0.40, 0.40),  # what is left behind the pipe's filter
    "bus event, million": (1.00, 1.00),
    "schedule, million": (1.00, 1.00),
    "trace, million": (5.00, 5.00),
    "secret call, million": (5.00, 5.00),
    "secret-month": (0.40, 0.40),
    "metric-month": (0.30, 0.30),  # custom, the first 10,000
    "alarm-month": (0.10, 0.10),  # for each metric that an alarm of standard resolution reads
    "dashboard-month": (3.00, 3.00),
}
PRICES: dict[str, Prices] = {
    region: {what: each[place] for what, each in TABLE.items()} for place, region in enumerate(REGIONS)
}
