"""What is seen while an acceptance runs: a bar, each row as it is answered, and what is being waited for."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from acceptance.rows import Finding
from ops.screen import clean, one_line, progress_console


class Display:
    """On standard error, so that a report which is piped stays clean."""

    def __init__(self, quiet: bool) -> None:
        self._console, self._quiet = progress_console(), quiet
        what = TextColumn("{task.description}", markup=False)
        hidden = quiet or not self._console.is_terminal
        columns = (what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=self._console, transient=True, disable=hidden)
        self.task = self.bar.add_task("rows")

    def found(self, finding: Finding) -> None:
        """One row is answered."""
        self.bar.update(self.task, advance=1)
        if not self._quiet:
            self._console.print(f"{finding.verdict:<13} {finding.row:<28} {one_line(finding.why)}".rstrip())

    def say(self, text: str) -> None:
        """What is being waited for; empty: nothing."""
        self.bar.update(self.task, description=clean(text) or "rows")
