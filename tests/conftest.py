"""The environment of a function, set before anything of functions/ is imported, by whichever test comes first."""

import os

os.environ |= {
    "POWERTOOLS_SERVICE_NAME": "void-service",
    "POWERTOOLS_METRICS_NAMESPACE": "VoidService",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
