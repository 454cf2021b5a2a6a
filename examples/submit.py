"""Submit jobs from Python and print each answer as it comes, with the model that gave it.

Needs a running Pointsman: `pointsman --config examples/pointsman.toml up` in another terminal.
"""

import asyncio

from pointsman_producer import Job, Producer
from pointsman_routes import Message

QUESTIONS = {
    "q-1": "Which planet has the most moons?",
    "q-2": "How many bits does an IPv6 address have?",
    "q-3": "What does ACID stand for?",
}


async def main() -> None:
    """Submit in bulk, then follow the results in the order they finish."""
    jobs = [
        Job(custom_id=name, task_class="triage", messages=(Message(role="user", content=question),))
        for name, question in QUESTIONS.items()
    ]
    async with Producer.connect() as producer:
        receipts = await producer.submit(jobs)
        async for result in producer.results(receipts):
            served = result.pointsman.served
            by = f"{served.model} of {served.tier}" if served else "nobody"
            print(f"{result.custom_id}: {result.pointsman.state}, answered by {by}")


if __name__ == "__main__":
    asyncio.run(main())
