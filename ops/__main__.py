"""The operators' command line: `python -m ops --local list`, `python -m ops --environment prod show 123`. Promises one
clear line on standard error and exit code 1 for whatever goes wrong, and never a traceback. Sends no void by itself: it
changes what a question to the provider or a message of it proves, and what an operator decides."""

import io
import sys

from ops.arguments import parser, place
from ops.errors import exit_code
from ops.screen import Screen


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    chosen = parser().parse_args(arguments)
    if chosen.run is None:
        print(chosen.help(), end="")
        return 2
    return exit_code(lambda: chosen.run(place(chosen), chosen, Screen(chosen.json)) or 0)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Other people's text has letters that this terminal's encoding may lack.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
