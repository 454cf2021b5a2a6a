"""The contests of the table."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .contest import Contest, Target, TierPlan, VendorPlan
from .prompts import small_jobs, uneven_jobs

_RPM, _TPM = 3_000, 600_000
_WINDOW_RPM = 1_500
_CLOSE = Target(share=0.98, refused=0.001)


def contests(*, quick: bool = False) -> list[Contest]:
    """All of them.

    Args:
        quick: with a tenth of the requests a minute and of the ideal time, for trying. A start costs what it costs,
            so the shares are lower; a window stays a minute, and tokens stay as many a minute.
    """
    part = 10 if quick else 1
    return [*_exact(part), *_wrong(part), *_windows(part), _tokens(part), *_spread(part)]


def _exact(part: int) -> list[Contest]:
    rpm = _RPM // part
    shared = partial(
        Contest,
        jobs=partial(small_jobs, _count(rpm, 60, 30 / part), "fast"),
        tiers={"fast": TierPlan(limits={"rpm": rpm})},
        target=_CLOSE,
        account={},
        told_rpm=rpm,
    )
    return [
        shared(name="exact", title="exact; llmock", vendor=VendorPlan(kind="llmock", rpm=rpm), others=True),
        shared(name="exact-strict", title="exact; strict bucket", vendor=VendorPlan(rpm=rpm)),
    ]


def _wrong(part: int) -> list[Contest]:
    rpm = _RPM // part
    mute = partial(VendorPlan, rpm=rpm, headers="none", retry_after=False)
    speaking = VendorPlan(kind="llmock", rpm=rpm)
    half_minute = partial(small_jobs, _count(rpm, 60, 30 / part), "fast")
    high = Target(share=0.85, refused=0.05)
    return [
        Contest(
            name="unset",
            title="unset; llmock",
            vendor=speaking,
            jobs=half_minute,
            tiers={"fast": TierPlan(limits={})},
            target=Target(share=0.95),
            account={},
            others=True,
        ),
        Contest(
            name="high",
            title="twice too high; mute bucket of 60 s",
            vendor=mute(),
            jobs=half_minute,
            tiers={"fast": TierPlan(limits={"rpm": 2 * rpm}, burst="60s")},
            target=high,
            account={},
            others=True,
            told_rpm=2 * rpm,
        ),
        Contest(
            name="high-1s",
            title="twice too high; mute bucket of 1 s",
            vendor=mute(capacity_s=1),
            jobs=partial(small_jobs, _count(rpm, 1, 60 / part), "fast"),
            tiers={"fast": TierPlan(limits={"rpm": 2 * rpm})},
            target=high,
            account={},
            others=True,
            told_rpm=2 * rpm,
        ),
        Contest(
            name="half",
            title="half; llmock",
            vendor=speaking,
            jobs=half_minute,
            tiers={"fast": TierPlan(limits={"rpm": rpm // 2})},
            target=Target(share=0.95),
            account={},
        ),
    ]


def _windows(part: int) -> list[Contest]:
    rpm = _WINDOW_RPM // part
    # A little over two windows; one, when quick.
    count = rpm + rpm // 10 if part > 1 else 2 * rpm + rpm // 5
    vendor = VendorPlan(rpm=rpm, enforce="window")
    return [
        Contest(
            name=name,
            title=title,
            vendor=plan,
            jobs=partial(small_jobs, count, "fast"),
            tiers={"fast": TierPlan(limits={"rpm": rpm})},
            target=Target(refused=0, window=rpm),
            account={},
        )
        for name, title, plan in (
            ("window", "exact; sliding window", vendor),
            ("window-bare", "exact; window, no headers", replace(vendor, headers="none")),
        )
    ]


def _tokens(part: int) -> Contest:
    return Contest(
        name="tokens",
        title="tokens exact; strict bucket",
        vendor=VendorPlan(tpm=_TPM),
        jobs=partial(uneven_jobs, round(_TPM + _TPM * 1.5 / part), "fast"),
        tiers={"fast": TierPlan(limits={"tpm": _TPM}, workers=3)},
        target=Target(share=0.95),
        account={},
    )


def _spread(part: int) -> Sequence[Contest]:
    rpm = _RPM // part
    count = _count(rpm, 60, 30 / part)
    return [
        Contest(
            name="clocks",
            title="exact; clocks 5 min apart",
            vendor=VendorPlan(rpm=rpm),
            jobs=partial(small_jobs, count, "fast"),
            tiers={"fast": TierPlan(limits={"rpm": rpm})},
            target=_CLOSE,
            account={},
            clock_ahead_s=300,
        ),
        Contest(
            name="two-tiers",
            title="account's exact; two tiers",
            vendor=VendorPlan(rpm=rpm),
            jobs=partial(small_jobs, count, "fast", "deep"),
            tiers={"fast": TierPlan(limits={}, workers=2), "deep": TierPlan(limits={}, workers=2)},
            target=Target(refused=0.001, thirds=True),
            account={"rpm": rpm},
        ),
    ]


def _count(rpm: int, capacity_s: float, ideal_s: float) -> int:
    """Jobs that take so long at best: what the bucket holds, and what comes after."""
    return round(rpm / 60 * (capacity_s + ideal_s))
