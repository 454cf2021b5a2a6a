"""What docs/providers.md says of each kind is what its code does."""

import re
from typing import Final

import pytest
from chat_cases import SPREAD, chat_job, chat_jobs
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_samples import codec_of
from project_tree import ROOT
from provider_claims import CLAIMS, Case
from provider_samples import tier

from pointsman_routes import Job, ProviderKind, Unsupported
from pointsman_routes.provider_kind import TRAITS
from pointsman_worker.providers import DEFAULT_BASE_URLS, Ask, WireRequest

EVERY = pytest.mark.parametrize("kind", list(ProviderKind))
PAGE: Final = (ROOT / "docs" / "providers.md").read_text()
_ROW: Final = re.compile(
    r"^\| \[(?P<kind>[a-z-]+)\]\(#(?P<link>[a-z-]+)\) \| [^|]+ \| (?P<auth>[^|]+) \| (?P<url>[^|]+) \|$", re.M
)
ROWS: Final = {row["kind"]: row for row in _ROW.finditer(PAGE)}
_MODELS: Final = {ProviderKind.GOOGLE: "gemini-2.5-flash"}

EDGES: Final[dict[ProviderKind, tuple[Job, ...]]] = {
    ProviderKind.OPENAI: (chat_job(stop=["1", "2", "3", "4"], temperature=2, seed=2**63 - 1),),
    ProviderKind.ANTHROPIC: (chat_job(temperature=1, stop=["END"], reasoning_effort="xhigh"),),
    ProviderKind.ANTHROPIC_COMPATIBLE: (chat_job(temperature=2),),
    ProviderKind.GOOGLE: (chat_job(stop=["1", "2", "3", "4", "5"], temperature=2, seed=2**31 - 1),),
    ProviderKind.OLLAMA: (chat_job(seed=4_294_967_294, temperature=2), chat_job(reasoning_effort="none")),
    ProviderKind.BEDROCK: (chat_job(temperature=1, reasoning_effort="high"),),
    ProviderKind.MISTRAL: (chat_job(temperature=1.5, seed=0),),
    ProviderKind.DEEPSEEK: (
        chat_job(temperature=2, top_p=0.5, reasoning_effort="none"),
        chat_job(reasoning_effort="low"),
    ),
    ProviderKind.MOONSHOT: (chat_job(temperature=1, stop=["1" * 32, "2", "3", "4", "5"]),),
    ProviderKind.TOGETHER: (chat_job(temperature=1, stop=list("123456789"), reasoning_effort="none"),),
}
"""Jobs just inside what a kind cannot express; of kinds that are left out, one with four stop sequences and the largest
seed."""


def _section(kind: ProviderKind) -> str:
    parts = PAGE.split(f"\n## {kind.value}\n")
    assert len(parts) == 2, "one section a kind"
    return parts[1].split("\n## ")[0]


def _claimed(kind: ProviderKind) -> list[str]:
    """The claims of a section, each on one line."""
    text = _section(kind).split("**Cannot express:** ")[1].split("\n\n")[0]
    return " ".join(text.split()).rstrip(".").split("; ")


def _built(kind: ProviderKind, case: Case) -> WireRequest | Unsupported:
    job, asked = case if isinstance(case, tuple) else (case, tier(_MODELS.get(kind, "m")))
    return codec_of(kind).build(Ask(job=job, tier=asked, max_tokens=64))


@EVERY
def test_overview_is_that_of_the_code(kind: ProviderKind) -> None:
    """The overview names the ways to authenticate and the default address as the code has them."""
    row, traits = ROWS[kind.value], TRAITS[kind]
    auths = ", ".join(f"`{auth.value}`" for auth in traits.auths)
    assert row["auth"] == (auths if traits.needs_key else f"{auths} or none")
    assert row["url"] == (f"`{DEFAULT_BASE_URLS[kind]}`" if kind in DEFAULT_BASE_URLS else "required")
    assert (row["url"] == "required") == traits.needs_base_url
    assert row["link"] == kind.value


def test_every_kind_is_there_once() -> None:
    """The overview and the sections have every kind, in the same order, and nothing else."""
    kinds = [kind.value for kind in ProviderKind]
    assert list(ROWS) == kinds
    assert [head for head in re.findall(r"^## (.+)$", PAGE, re.M) if head in kinds] == kinds


@EVERY
def test_section_says_how_an_answer_counts(kind: ProviderKind) -> None:
    """A section says that max_tokens counts from the start where it does, and that a server here is local."""
    section, traits = _section(kind), TRAITS[kind]
    assert ("`max_tokens` counts from the start" in section) == traits.reserves_max_tokens
    assert ("on a loopback address `local`" in section) == traits.runs_here
    assert all(f"| {name} |" in section for name in ("region", "limits", "usage", "outcomes"))


@EVERY
def test_claims_are_those_of_the_page(kind: ProviderKind) -> None:
    """Everything that the page says a kind cannot express is tried out here, and nothing else is."""
    assert sorted(_claimed(kind)) == sorted(CLAIMS[kind])


@pytest.mark.parametrize(
    ("kind", "claim"),
    [(kind, claim) for kind, claims in CLAIMS.items() for claim in claims],
    ids=lambda part: str(part),
)
def test_claim_holds(kind: ProviderKind, claim: str) -> None:
    """What a kind cannot express is unsupported before the call, for the parameter that the claim is about."""
    parameter, cases = CLAIMS[kind][claim]
    for case in cases:
        told = _built(kind, case)
        assert isinstance(told, Unsupported), case
        assert told.detail.startswith(f"{parameter}: ")


@EVERY
def test_nothing_more_is_refused(kind: ProviderKind) -> None:
    """Jobs that just avoid what is claimed can be asked."""
    usual = (chat_job(stop=["1", "2", "3", "4"], seed=2**63 - 1),)
    for job in (chat_job(), *EDGES.get(kind, usual)):
        assert isinstance(_built(kind, job), WireRequest), job


@EVERY
@settings(max_examples=60)
@given(job=st.sampled_from(list(SPREAD.values())) | chat_jobs())
def test_nothing_is_left_out(kind: ProviderKind, job: Job) -> None:
    """Whatever job a kind cannot express, it is for a parameter that the page speaks of."""
    told = _built(kind, job)
    if isinstance(told, Unsupported):
        assert told.detail.partition(": ")[0] in {parameter for parameter, _ in CLAIMS[kind].values()}
