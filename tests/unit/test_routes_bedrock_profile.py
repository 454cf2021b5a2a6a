"""Where Bedrock processes a call: what its hosts and profiles promise, against what is declared."""

from typing import Any

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from pointsman_routes import Provider, bedrock_region, place_problem
from pointsman_routes.bedrock_profile import residency_problem

FRANKFURT = "https://bedrock-runtime.eu-central-1.amazonaws.com"
CLAUDE = "anthropic.claude-haiku-4-5-20251001-v1:0"


def _endpoints() -> list[tuple[str, str]]:
    """Every endpoint AWS's own rules give for Bedrock's runtime, with its region."""
    loader = Loader()
    partitions: Any = loader.load_data("partitions")
    rules = EndpointProvider(loader.load_service_model("bedrock-runtime", "endpoint-rule-set-1"), partitions)
    found = []
    for partition in partitions["partitions"]:
        for region in (name for name in partition["regions"] if not name.endswith("-global")):
            for fips, dual in ((False, False), (True, False), (False, True), (True, True)):
                try:
                    found.append((region, rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual).url))
                except EndpointProviderError:
                    continue
    return found


def test_the_region_of_every_endpoint_of_aws_is_told() -> None:
    """Public, FIPS and dual-stack, in every partition: as AWS's own endpoint rules have them."""
    endpoints = _endpoints()
    assert len(endpoints) > 100
    assert [url for region, url in endpoints if bedrock_region(url) != region] == []


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        (FRANKFURT, "eu-central-1"),
        (f"{FRANKFURT}.:443/", "eu-central-1"),
        ("https://vpce-0ab1-x9.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("https://vpce-0ab1-x9-us-east-1a.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("https://bedrock.eu-central-1.amazonaws.com", None),
        ("https://gateway.example.com/eu-central-1", None),
        ("http://127.0.0.1:8080", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_a_host_tells_its_region_or_nothing(base_url: str, region: str | None) -> None:
    """A VPC's endpoint names its region too; another host does not, whatever its path says."""
    assert bedrock_region(base_url) == region


@pytest.mark.parametrize(
    ("declared", "host", "model", "words"),
    [
        (None, "us-east-1", f"global.{CLAUDE}", None),
        ("global", "us-east-1", f"global.{CLAUDE}", None),
        ("eu", "eu-central-1", CLAUDE, None),
        ("eu", "eu-central-1", f"eu.{CLAUDE}", None),
        ("eu-central-1", "eu-central-1", CLAUDE, None),
        ("us", "us-east-1", f"us.{CLAUDE}", None),
        ("us", "us-gov-west-1", f"us-gov.{CLAUDE}", None),
        ("us-gov", "us-gov-west-1", f"us-gov.{CLAUDE}", None),
        ("apac", "ap-northeast-1", f"apac.{CLAUDE}", None),
        ("apac", "ap-northeast-1", f"jp.{CLAUDE}", None),
        ("jp", "ap-northeast-3", f"jp.{CLAUDE}", None),
        ("au", "ap-southeast-2", f"au.{CLAUDE}", None),
        ("ca", "ca-central-1", f"ca.{CLAUDE}", None),
        ("eu", "eusc-de-east-1", CLAUDE, None),
        ("eu", "eu-central-1", "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2", None),
        ("eu", "eu-central-1", f"global.{CLAUDE}", "any region"),
        ("local", "eu-central-1", f"global.{CLAUDE}", "base_url"),
        ("eu", "eu-central-1", f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/global.{CLAUDE}",
         "any region"),
        ("eu", "eu-central-1", f"us.{CLAUDE}", "anywhere in 'us'"),
        ("eu-central-1", "eu-central-1", f"eu.{CLAUDE}", "anywhere in 'eu'"),
        ("us", "us-gov-west-1", f"apac.{CLAUDE}", "anywhere in 'apac'"),
        ("jp", "ap-northeast-1", f"apac.{CLAUDE}", "anywhere in 'apac'"),
        ("jp", "ap-northeast-1", f"au.{CLAUDE}", "anywhere in 'au'"),
        ("eu", "eu-central-1", f"uk.{CLAUDE}", "anywhere in 'uk'"),
        ("eu", "us-east-1", CLAUDE, "base_url is in 'us-east-1'"),
        ("eu", "eu-west-2", CLAUDE, "base_url is in 'eu-west-2'"),
        ("us", "ca-central-1", f"us.{CLAUDE}", "base_url is in 'ca-central-1'"),
        ("us-east-1", "us-west-2", CLAUDE, "base_url is in 'us-west-2'"),
    ],
)  # fmt: skip
def test_a_profile_and_its_source_must_lie_in_the_declared_region(
    declared: str | None, host: str, model: str, words: str | None
) -> None:
    """A profile may move a prompt anywhere in its geography; a declaration narrower than that is a mistake."""
    problem = place_problem(declared, f"https://bedrock-runtime.{host}.amazonaws.com", model)
    assert (problem is None) if words is None else (problem is not None and words in problem)


def test_a_host_nobody_knows_is_taken_at_its_word_and_its_profile_is_not() -> None:
    """Behind a gateway the region is the operator's to declare; a global profile contradicts it all the same."""
    assert place_problem("eu", "http://127.0.0.1:8080", CLAUDE) is None
    assert place_problem("eu", "http://127.0.0.1:8080", f"global.{CLAUDE}") is not None


def test_a_tier_is_checked_against_its_provider() -> None:
    """The check of the configuration sees what the codec sees."""
    tiers = {"far": {"model": f"global.{CLAUDE}"}, "near": {"model": f"eu.{CLAUDE}"}}
    provider = Provider.model_validate(
        {"name": "aws", "kind": "bedrock", "owner": "me", "auth": "sigv4", "base_url": FRANKFURT, "region": "eu",
         "tiers": tiers}
    )  # fmt: skip
    assert residency_problem(provider, provider.tiers["near"]) is None
    assert residency_problem(provider, provider.tiers["far"]) is not None


@given(st.text(), st.text(), st.text())
def test_no_configuration_breaks_the_check(declared: str, base_url: str, model: str) -> None:
    """Whatever stands in the file, there is an answer, and a problem names what is declared."""
    problem = place_problem(declared, base_url, model)
    assert problem is None or repr(declared) in problem
