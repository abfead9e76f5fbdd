"""A paper as its file says: what it prints, which rows fill its tables, what it claims."""

from __future__ import annotations

from dataclasses import dataclass

from imtext.report.claims import Claim, paper_claims
from imtext.report.numbers import PaperTable, paper_table, table_ids


@dataclass(frozen=True)
class Paper:
    """Tables by number, and claims by id, in the paper's order."""

    name: str
    tables: dict[str, PaperTable]
    claims: dict[str, Claim]

    @property
    def numbers(self) -> tuple[str, ...]:
        """What may be asked for: tables with numbers, and others that claims are about."""
        return tuple(dict.fromkeys([*self.tables, *(one.table for one in self.claims.values() if one.table)]))

    def rows_of(self, number: str) -> set[str]:
        """Keys of the notebook's rows that a table holds, or that claims about it need."""
        held = {line.run for line in self.tables[number].lines} if number in self.tables else set()
        return held.union(*(one.needs for one in self.claims.values() if one.table == number))


def read_paper(name: str) -> Paper:
    """The paper of a file in ``papers/``.

    >>> read_paper("intra_modal").tables["3"].ours[0].run
    'hinges-all'
    """
    tables = {number: paper_table(name, number) for number in table_ids(name)}
    return Paper(name, tables, paper_claims(name))
