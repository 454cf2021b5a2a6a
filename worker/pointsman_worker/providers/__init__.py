"""The wire formats of the vendors: a job into a request, an answer into an outcome. No I/O."""

from .aws_signature import sigv4_problem
from .judging import keeps_to
from .protocol import Ask, ProviderCodec, RawReply, Reply, WireRequest
from .registry import DEFAULT_BASE_URLS, codec_for

__all__ = [
    "DEFAULT_BASE_URLS",
    "Ask",
    "ProviderCodec",
    "RawReply",
    "Reply",
    "WireRequest",
    "codec_for",
    "keeps_to",
    "sigv4_problem",
]
