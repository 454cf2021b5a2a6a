"""A calendar month in UTC."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Self

from .errors import FilterInvalid

_WRITTEN = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])", re.ASCII)
_LAST_YEAR = 9998
"""The month after it must have a date too."""


class Month(NamedTuple):
    """A calendar month; its days are those of UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2026-11`.

        Raises:
            FilterInvalid: if it is no month.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None or int(found[1]) > _LAST_YEAR:
            raise FilterInvalid(f"{text!r} is not a month; write it as 2026-11")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The month of a moment."""
        there = moment.astimezone(UTC)
        return cls(there.year, there.month)

    @property
    def since(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return datetime(self.year + self.month // 12, self.month % 12 + 1, 1, tzinfo=UTC)

    @property
    def days(self) -> tuple[date, ...]:
        """Its days in order."""
        first = self.since.date()
        return tuple(first + timedelta(days=day) for day in range((self.until - self.since).days))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"
