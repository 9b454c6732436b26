"""What was found out about a distribution over tasks, to be read by a person or by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Verdict(NamedTuple):
    """One question about the tasks: its ``level``, ok, warning or problem, the number that decides, and a sentence."""

    name: str
    level: str
    number: float
    sentence: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.name:13} {self.number:<9.4g} {self.sentence}"


@dataclass(frozen=True)
class TaskReport:
    """The verdicts on a distribution over tasks; printing it shows one line for each."""

    verdicts: tuple[Verdict, ...]

    @property
    def problems(self) -> list[Verdict]:
        """What makes results wrong."""
        return [verdict for verdict in self.verdicts if verdict.level == "problem"]

    @property
    def warnings(self) -> list[Verdict]:
        """What may be meant, and should be known."""
        return [verdict for verdict in self.verdicts if verdict.level == "warning"]

    def __getitem__(self, name: str) -> Verdict:
        """The verdict of that name."""
        found = {verdict.name: verdict for verdict in self.verdicts}
        if name not in found:
            raise KeyError(f"name: expected one of {', '.join(found)}, got {name!r}")
        return found[name]

    def __str__(self) -> str:
        count = f"{len(self.problems)} problems, {len(self.warnings)} warnings"
        return "\n".join([*map(str, self.verdicts), count])
