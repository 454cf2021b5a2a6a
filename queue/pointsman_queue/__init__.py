"""Redis: every key name, every Lua script with its one typed caller; leases, buckets, outbox."""

from .connection import MISSING, client, connect, place, redis_errors, redis_settings
from .envelope import FUNCTION, Opened, decode_envelope, encode_envelope, from_json, to_json
from .gate import BreakerState, Gate, LearnedLimit, read_gate
from .job_queue import Admission, BatchProgress, JobQueue, NewJob
from .job_traces import JobTraces, Wiped
from .lease import Claim, Lease, Renewal
from .outbox import START, Outbox, OutboxEntry, Standing, entry_order
from .outcome_rates import OutcomeRates
from .overdue_leases import OverdueLeases
from .overview import JobView, Observer, Overview, TierLoad
from .reconciler_turn import ReconcilerTurn, Turn
from .recorder_board import RecorderBoard
from .scripts import script_text
from .settings import Settings
from .settlement import Heard, Settlement, SettleStep
from .standing_of_jobs import JobPlaces, Remains, Whereabouts
from .switchboard import Openings, Switchboard
from .tier_profile import TierProfile
from .tier_queue import HEARTBEAT_S, LEASE_S, TierQueue
from .wake import WakeUps

__all__ = [
    "FUNCTION",
    "HEARTBEAT_S",
    "LEASE_S",
    "MISSING",
    "START",
    "Admission",
    "BatchProgress",
    "BreakerState",
    "Claim",
    "Gate",
    "Heard",
    "JobPlaces",
    "JobQueue",
    "JobTraces",
    "JobView",
    "LearnedLimit",
    "Lease",
    "NewJob",
    "Observer",
    "Opened",
    "Openings",
    "Outbox",
    "OutboxEntry",
    "OutcomeRates",
    "OverdueLeases",
    "Overview",
    "ReconcilerTurn",
    "RecorderBoard",
    "Remains",
    "Renewal",
    "Settings",
    "SettleStep",
    "Settlement",
    "Standing",
    "Switchboard",
    "TierLoad",
    "TierProfile",
    "TierQueue",
    "Turn",
    "WakeUps",
    "Whereabouts",
    "Wiped",
    "client",
    "connect",
    "decode_envelope",
    "encode_envelope",
    "entry_order",
    "from_json",
    "place",
    "read_gate",
    "redis_errors",
    "redis_settings",
    "script_text",
    "to_json",
]
