"""The tier worker on arq: claims jobs, asks vendors, judges what comes back, settles."""

from .api_keys import ApiKey, key_problem, read_key
from .codec_shelf import CodecShelf
from .dispatch import Dispatcher, VendorDesk
from .http_client import build_client
from .office import Office
from .pricing import rate_for
from .providers import ProviderCodec, codec_for, sigv4_problem
from .report import Report
from .settler import Settler
from .tier_worker import TierWorker, WorkerPlan
from .vendor_desk import HttpDesk

__all__ = [
    "ApiKey",
    "CodecShelf",
    "Dispatcher",
    "HttpDesk",
    "Office",
    "ProviderCodec",
    "Report",
    "Settler",
    "TierWorker",
    "VendorDesk",
    "WorkerPlan",
    "build_client",
    "codec_for",
    "key_problem",
    "rate_for",
    "read_key",
    "sigv4_problem",
]
