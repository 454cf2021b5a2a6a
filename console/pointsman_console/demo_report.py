"""The demo's last page: what happened, in figures, and one job with its record."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape

from pointsman_routes import format_usd

from . import screen
from .demo_proof import Check, Exhibits, ShownRecord

_SERVED = ("class", "jobs", "answered by", "model", "why not the primary", "USD")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The end of a run."""

    exhibits: Exhibits
    checks: Sequence[Check]
    seconds: float
    home: str | None
    """Where everything is; None if it is gone again."""

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def figures(self) -> dict[str, Any]:
        """Everything as one object."""
        exhibits = self.exhibits
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 1),
            "jobs": len(exhibits.prompts),
            "results": len(exhibits.results),
            "records": len(exhibits.finals),
            "attempts": len(exhibits.attempts),
            "fallbacks": sum(record["fallback_reason"] is not None for record in exhibits.finals),
            "downgraded": sum(bool(record["downgraded"]) for record in exhibits.finals),
            "cost_usd": format_usd(_cost(exhibits.finals)),
            "served": _served_rows(exhibits),
            "vendors": _vendor_rows(exhibits),
            "checks": [{"name": check.name, "ok": check.holds, "missing": check.missing} for check in self.checks],
            "home": self.home,
        }

    def show(self) -> None:
        """Everything for a person, on standard output."""
        exhibits = self.exhibits
        screen.out.print("\n[bold]Which model answered[/bold]")
        screen.table(_SERVED, (_served_cells(row) for row in _served_rows(exhibits)))
        screen.out.print("\n[bold]What the vendors saw, and what the ledger says[/bold]")
        _rows(_vendor_rows(exhibits))
        self._show_example()
        screen.out.print("\n[bold]Checked[/bold]")
        for check in self.checks:
            mark = "[green]yes[/green]" if check.holds else "[bold red]NO [/bold red]"
            screen.out.print(f"{mark}  {check.name}" + (f": {escape(check.missing)}" if check.missing else ""))
        screen.out.print(
            f"\n{len(exhibits.prompts)} jobs, {len(exhibits.results)} answers, {len(exhibits.finals)} final records, "
            f"{len(exhibits.attempts)} attempt records, ${format_usd(_cost(exhibits.finals))}, {self.seconds:.0f} s."
        )
        self._show_way_on()

    def _show_example(self) -> None:
        example = max(self.exhibits.finals, key=lambda record: (record["downgraded"], record["attempts"]), default=None)
        if example is None:
            return
        screen.out.print("\n[bold]One job[/bold]")
        screen.out.print(self.exhibits.prompts.get(example["job_id"], "?"), markup=False)
        screen.out.print("[bold]and its record[/bold]")
        screen.out.print_json(data=dict(example))

    def _show_way_on(self) -> None:
        look = "audit list --fallback"
        if self.home is not None:
            screen.out.print(f"Everything is in {self.home}. Look further:", markup=False)
            screen.out.print(f"  pointsman --home {self.home} {look}", markup=False)
        else:
            screen.out.print("Everything is gone again. To look further: pointsman demo --keep", markup=False)
            screen.out.print(f"and then                            pointsman --home ... {look}", markup=False)


def _served_cells(row: dict[str, Any]) -> tuple[object, ...]:
    """A row as narrow as a terminal."""
    why = " ".join(filter(None, (row["why"], "below floor" if row["downgraded"] else None)))
    return (row["class"], row["jobs"], row["served"], row["model"], why or None, row["cost_usd"])


def _served_rows(exhibits: Exhibits) -> list[dict[str, Any]]:
    """Jobs by class, tier that answered and reason."""
    groups: dict[tuple[str, ...], list[ShownRecord]] = defaultdict(list)
    for record in exhibits.finals:
        key = (record["task_class"], record["requested_tier"], record["served_tier"], record["served_model"])
        groups[*(str(part) for part in key), record["fallback_reason"] or ""].append(record)
    return [
        {
            "class": task_class,
            "asked": asked,
            "served": served,
            "model": model,
            "why": why or None,
            "jobs": len(records),
            "downgraded": sum(bool(record["downgraded"]) for record in records),
            "attempts": sum(record["attempts"] for record in records),
            "cost_usd": format_usd(_cost(records)),
        }
        for (task_class, asked, served, model, why), records in sorted(groups.items())
    ]


def _vendor_rows(exhibits: Exhibits) -> list[dict[str, Any]]:
    """Requests and attempts by vendor, and how the attempts ended."""
    rows = []
    for provider, calls in exhibits.calls.items():
        outcomes = [attempt["outcome"] for attempt in exhibits.attempts if attempt["provider"] == provider]
        counted = {name: outcomes.count(name) for name in ("ok", "throttled", "overloaded", "unknown")}
        other = len(outcomes) - sum(counted.values())
        row = {"vendor": provider, "requests": len(calls), "attempt_records": len(outcomes), **counted, "other": other}
        rows.append(row)
    return rows


def _rows(rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        screen.table(rows[0].keys(), (row.values() for row in rows))


def _cost(records: Iterable[ShownRecord]) -> int:
    return sum(record["cost_microusd"] or 0 for record in records)
