"""What a sheet does, or would do: a line for each channel that a row names and for each row that is refused."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from people.enrolment import Enrolment, Outcome, RowOutcome
from people.sheets import Problem, Sheet

OUTCOMES: tuple[Outcome, ...] = ("refused", "changed", "new", "unchanged")  # in the order of the preview
BLANK = "blank"
SHOWN_VALUE = 60


@dataclass(frozen=True)
class Line:
    """`number` is that of the row in its file. `details` are (column, old, new) as they are shown, `remarks` (value, sentence)."""

    number: int
    outcome: Outcome
    person: str = ""
    channel: str = ""
    details: list[tuple[str, str, str]] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)


class SheetReport:
    """All that a sheet says comes up here once: in a line, or in `file_problems`, which concern the whole file or a column.

    A row with two channels has two lines; a row that is refused, or of which a channel is, has one for all its faults.
    """

    def __init__(self, sheet: Sheet, enrolment: Enrolment):
        self.sheet = sheet
        self.enrolment = enrolment
        problems = [*sheet.problems, *enrolment.problems]
        self.problems: list[Problem] = sorted(problems, key=lambda problem: (problem.row is not None, problem.row or 0))
        self.lines: list[Line] = sorted(self._lines(), key=lambda line: line.number)

    @property
    def counts(self) -> dict[Outcome, int]:
        return {outcome: len(lines) for outcome, lines in self.groups.items()}

    @property
    def groups(self) -> dict[Outcome, list[Line]]:
        found: dict[Outcome, list[Line]] = {outcome: [] for outcome in OUTCOMES}
        for line in self.lines:
            found[line.outcome].append(line)
        return found

    @property
    def file_problems(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.row is None]

    @property
    def summary(self) -> str:
        """One line: 3 new, 1 changed, 0 unchanged, 2 not imported."""
        counts = self.counts
        return (
            f"{counts['new']:,} new, {counts['changed']:,} changed, {counts['unchanged']:,} unchanged, {counts['refused']:,} not imported"
        )

    @property
    def refusals(self) -> dict[int, list[str]]:
        """What is wrong, in sentences, by the number of each refused row."""
        return {line.number: list(dict.fromkeys(sentence for _, sentence in line.remarks)) for line in self.groups["refused"]}

    def _lines(self) -> Iterator[Line]:
        yield from (_good_line(done) for done in self.enrolment.outcomes if done.channel)
        yield from (_repeated_line(problem) for problem in self.problems if problem.row is not None and problem.is_note)
        yield from _refused_lines(problem for problem in self.problems if problem.row is not None and not problem.is_note)


def _good_line(done: RowOutcome) -> Line:
    remarks = [("", done.message)] if done.message else []
    return Line(done.row.number, done.outcome, done.channel.person.name, done.channel.canonical_url, _details(done), remarks)


def _repeated_line(problem: Problem) -> Line:
    """A channel that an earlier row has given to the same person."""
    return Line(problem.row, "unchanged", channel=problem.value, remarks=[("", problem.message)])


def _refused_lines(problems: Iterable[Problem]) -> Iterator[Line]:
    by_row: dict[int, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_row[problem.row].append(problem)
    for number, faults in by_row.items():
        yield Line(number, "refused", remarks=[(fault.value, fault.message) for fault in faults])


def _details(done: RowOutcome) -> list[tuple[str, str, str]]:
    """Without the name of a new person and the address of a new channel, which head the line."""
    changes = {column: change for column, change in done.changes.items() if column != "channel" and (column, change[0]) != ("name", "")}
    return [(column, _shown(old) or BLANK, _shown(new)) for column, (old, new) in changes.items()]


def _shown(value: str) -> str:
    return value if len(value) <= SHOWN_VALUE else f"{value[: SHOWN_VALUE - 1]}…"
