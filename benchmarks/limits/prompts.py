"""What the jobs ask: a triage's small questions, or prompts of every size."""

import math
import random
from statistics import NormalDist
from typing import Any

from pointsman_routes import Job, Message

QUESTION = "Is this a bug report, a question or a complaint? 'The export has been empty since Monday.' One word."
MAX_TOKENS = 16
_SEED = 20
_MEDIAN, _SPREAD = 1_000, 1.3
_SMALLEST, _LARGEST = 50, 50_000


def chat(model: str) -> dict[str, Any]:
    """The small question, as a call."""
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": MAX_TOKENS}


def small_jobs(count: int, *classes: str) -> list[Job]:
    """The small question so many times, the classes in turn."""
    return [_job(number, classes[number % len(classes)], QUESTION, MAX_TOKENS) for number in range(count)]


def uneven_jobs(total: int, task_class: str) -> list[Job]:
    """Jobs of about `total` tokens together, prompt and `max_tokens`, log-normal over three decades.

    The sizes are the distribution's own quantiles in a shuffled order, so every count of them has its large ones.
    """
    law = NormalDist()
    mean = _MEDIAN * math.exp(_SPREAD**2 / 2)
    count = max(1, round(total / mean))
    sizes = [_MEDIAN * math.exp(_SPREAD * law.inv_cdf((rank + 0.5) / count)) for rank in range(count)]
    chance = random.Random(_SEED)
    chance.shuffle(sizes)
    jobs = []
    for number, wanted in enumerate(sizes):
        size = round(min(_LARGEST, max(_SMALLEST, wanted)))
        answer = max(1, round(size * chance.uniform(0.2, 0.8)))
        jobs.append(_job(number, task_class, ("word " * (size - answer))[: 4 * (size - answer)], answer))
    return jobs


def tokens_of(job: Job) -> int:
    """What the strict vendor charges for a job."""
    return max(1, job.characters // 4) + (job.max_tokens or 0)


def _job(number: int, task_class: str, text: str, max_tokens: int) -> Job:
    message = Message(role="user", content=text)
    return Job(custom_id=f"limit-{number}", task_class=task_class, messages=(message,), max_tokens=max_tokens)
