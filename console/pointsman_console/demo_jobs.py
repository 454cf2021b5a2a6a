"""The demo's jobs: support mail to sort, small problems to solve, notes to sum up. No two ask the same."""

from collections.abc import Callable

from pointsman_routes import Job, Message

_SORT = "You sort support mail. Answer with one word: billing, outage, bug, feature or other."
_SOLVE = "Solve the problem. Show each step on its own line, then the result."
_SUM_UP = "Sum up the notes in one sentence a busy reader can act on."

_SUBJECTS = (
    "the invoice export", "the mobile app", "the search page", "the weekly report", "single sign-on",
    "the webhook for new orders", "the calendar sync", "our second workspace", "the password reset mail",
)  # fmt: skip
_COMPLAINTS = (
    "Since this morning {} answers with a blank page.",
    "We were charged twice for {}. Please refund one of the two.",
    "Could {} also offer semicolons as separators? Our accounting needs them.",
    "{} shows last month's figures, although it was refreshed an hour ago.",
    "How do I hand {} over to a colleague before my holiday?",
    "After the update {} takes half a minute to open; it was two seconds before.",
    "Thank you for the quick help with {} yesterday, it works again.",
    "Whom do I ask for a quote that includes {} for eighty seats?",
    "{} says that we have reached our limit, but the dashboard says 40 percent.",
)

_PROBLEMS: tuple[Callable[[int], str], ...] = (
    lambda n: (
        f"A queue takes in {30 + 2 * n} jobs a minute and a worker finishes one every {3 + n % 4} seconds. "
        "How many workers keep the queue from growing?"
    ),
    lambda n: (
        f"A tank of {200 + 15 * n} litres loses {4 + n % 5} litres an hour and gains 3. After how many hours is it "
        "half full if it starts full?"
    ),
    lambda n: (
        f"A train leaves at 08:{10 + n:02d} and rides {90 + 5 * n} km at {60 + n % 7 * 10} km/h. "
        "When does it arrive, to the minute?"
    ),
    lambda n: (
        f"A batch of {1_000 + 120 * n} documents costs 0.{2 + n % 6} cents each, and one in {8 + n % 5} has to be read "
        "twice. What does the batch cost?"
    ),
)

_NOTES = (
    "Backups of the northern site finish two hours later since the disk was replaced.",
    "Three customers asked for invoices in their own currency this week.",
    "The new index halved the time of the slowest query but doubled its memory.",
    "Two of five test devices lose their connection in the lift.",
    "The supplier of the sensors announces a price rise of six percent for spring.",
    "Night shifts report fewer false alarms since the threshold was raised.",
    "The pilot group finishes the form in four minutes instead of nine.",
    "Nobody has used the old import for sixty days.",
    "The certificate of the test system runs out in three weeks.",
)


def triage_jobs(count: int, *, first: int = 1) -> list[Job]:
    """Support mail to sort, numbered from `first`."""
    return [_job("triage", number, _SORT, _mail(number)) for number in range(first, first + count)]


def reasoning_jobs(count: int, *, first: int = 1) -> list[Job]:
    """Small problems to solve."""
    return [_job("reasoning", number, _SOLVE, _problem(number)) for number in range(first, first + count)]


def synthesis_jobs(count: int, *, first: int = 1) -> list[Job]:
    """Notes to sum up."""
    return [_job("synthesis", number, _SUM_UP, _notes(number)) for number in range(first, first + count)]


def _job(task_class: str, number: int, system: str, prompt: str) -> Job:
    return Job(
        custom_id=f"{task_class}-{number:03d}",
        task_class=task_class,
        messages=(Message(role="system", content=system), Message(role="user", content=prompt)),
        metadata={"source": "demo"},
    )


def _mail(number: int) -> str:
    text = _COMPLAINTS[number % len(_COMPLAINTS)].format(_SUBJECTS[number // len(_COMPLAINTS) % len(_SUBJECTS)])
    return f"Ticket {4_000 + number}: {text[0].upper()}{text[1:]}"


def _problem(number: int) -> str:
    return _PROBLEMS[number % len(_PROBLEMS)](number)


def _notes(number: int) -> str:
    steps = (0, 2 + number // len(_NOTES) % 3, 6)
    chosen = (_NOTES[(number + step) % len(_NOTES)] for step in steps)
    return "\n".join((f"Notes of week {number}:", *(f"- {note}" for note in chosen)))
