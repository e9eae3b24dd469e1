"""What is printed when something goes wrong: the same words from every command. Promises one short line without a
traceback and without a value that an unexpected error may carry."""

import os
import sys
from collections.abc import Callable

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from ops.places import OpsError, refusal_of_aws
from ops.screen import one_line
from payments.secret import SecretError
from payments.settings import SettingsError
from payments.store import StoreError

EXPECTED = (
    OpsError, SettingsError, SecretError, StoreError, ClientError, BotoCoreError, urllib3.exceptions.HTTPError, OSError,
)  # fmt: skip
"""What may go wrong without a defect of ours."""


def told(error: Exception) -> str:
    match error:
        case OpsError() | SettingsError():
            says = str(error)
        case SecretError():
            says = f"the provider's credentials cannot be used: {error.reason}"
        case StoreError():
            says = f"the table cannot be used: {error}"
        case ClientError():
            says = refusal_of_aws(error)
        case _:
            name, expected = type(error).__name__, isinstance(error, EXPECTED)
            says = f"{name}: {error}" if expected else f"unexpected {name}: a defect of this command line"
    return one_line(says)


def exit_code(work: Callable[[], int]) -> int:
    """Do the work of a command; what it returns, or what its end by an error means: see `python -m ops --help`."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader, `head` perhaps, has enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 an operator in an incident gets a line, and its text may hold data
        print(f"error: {told(error)}", file=sys.stderr)
        return 1
