"""The Lua scripts: loaded from their files, each with the key names in front."""

from functools import cache
from importlib.resources import files

from . import keys

_NAMES = {
    "queue": keys.QUEUE,
    "envelope": keys.ENVELOPE,
    "delayed": keys.DELAYED,
    "spill": keys.SPILL,
    "leases": keys.LEASES,
    "held": keys.HELD,
    "held_for": keys.HELD_FOR,
    "job": keys.JOB,
    "result": keys.RESULT,
    "gate": keys.GATE,
    "window": keys.WINDOW,
    "batch": keys.BATCH,
    "done": keys.DONE,
    "tiers": keys.TIERS,
    "fence": keys.FENCE,
    "outbox": keys.OUTBOX,
    "rates": keys.RATES,
    "worker": keys.WORKER,
    "wake": keys.WAKE,
}


_CHAPTERS = {
    "claim": ("gates", "limits", "admission"),
    "settle": ("gates", "limits", "breaker", "learning"),
}
"""What a script reads before its own text: what it shares with another, or what is a subject of its own."""


@cache
def script_text(verb: str) -> str:
    """A script's text, with the key names as the table `K` on a line before it, then its chapters.

    Args:
        verb: the file's name without its ending: enqueue, claim, renew, settle or switch.
    """
    names = ", ".join(f"{name} = '{key}'" for name, key in _NAMES.items())
    folder = files(__package__).joinpath("scripts")
    parts = [folder.joinpath("chapters", f"{chapter}.lua") for chapter in _CHAPTERS.get(verb, ())]
    texts = [part.read_text(encoding="utf-8") for part in (*parts, folder.joinpath(f"{verb}.lua"))]
    return f"local K = {{{names}}}\n" + "\n".join(texts)
