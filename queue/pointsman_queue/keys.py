"""Every key name in Redis, built here and nowhere else.

    arq:queue:<tier>            zset    ready jobs; score = deadline in ms (a stock arq worker, which takes scores
                                        up to now, would never pick one up before its deadline has passed)
    arq:job:<job>               string  arq's job envelope in JSON
    pointsman:delayed:<tier>    zset    jobs waiting for a moment; score = when due, ms
    pointsman:spill:<tier>      zset    jobs that have another tier to go to; score = when they should, ms
    pointsman:leases:<tier>     zset    jobs a worker has; score = when the lease ends, ms
    pointsman:held              zset    every held job; score = deadline, ms
    pointsman:held:<tier>       zset    held jobs this tier could take; score = deadline, ms
    pointsman:job:<job>         hash    where the job stands; outlives the job by the result retention
    pointsman:result:<job>      string  the result line; expires after the result retention
    pointsman:gate:<scope>      hash    switch, closings, breaker, limits: chapters/gates.lua
    pointsman:window:<scope>    hash    calls and tokens of the last minute, by half seconds; expires
    pointsman:rates:<tier>:<n>  hash    how calls ended, by class and outcome, in ten minutes; expires
    pointsman:batch:<batch>     hash    counts by final state
    pointsman:done:<batch>      stream  ids of finished jobs, in the order they finished
    pointsman:tiers             set     every tier a job was ever queued for, those no longer configured included
    pointsman:fence             string  the fence counter; only grows
    pointsman:outbox            stream  records on their way to the ledger
    pointsman:outbox:source     string  names this outbox in the ledger; a new Redis gets a new one
    pointsman:recorded          string  the outbox entry up to which the ledger has committed; only grows
    pointsman:policy:<role>     string  digest of the policy last announced; role: producer or worker
    pointsman:worker:<worker>   string  health of a living worker; expires
    pointsman:recorder:<id>     string  health of a living recorder; expires
    pointsman:recorders         set     recorders that have told their health and not retired, some dead ones included
    pointsman:reconciler        string  the reconciler that is at work; expires
    pointsman:wake:<tier>       channel a tier has work

Standalone Redis or Sentinel: scripts build key names from these prefixes, which Redis Cluster does not allow.
"""

QUEUE = "arq:queue:"
ENVELOPE = "arq:job:"
DELAYED = "pointsman:delayed:"
SPILL = "pointsman:spill:"
LEASES = "pointsman:leases:"
HELD = "pointsman:held"
HELD_FOR = "pointsman:held:"
JOB = "pointsman:job:"
RESULT = "pointsman:result:"
GATE = "pointsman:gate:"
WINDOW = "pointsman:window:"
RATES = "pointsman:rates:"
BATCH = "pointsman:batch:"
DONE = "pointsman:done:"
TIERS = "pointsman:tiers"
FENCE = "pointsman:fence"
OUTBOX = "pointsman:outbox"
OUTBOX_SOURCE = "pointsman:outbox:source"
RECORDED = "pointsman:recorded"
POLICY = "pointsman:policy:"
WORKER = "pointsman:worker:"
RECORDER = "pointsman:recorder:"
RECORDERS = "pointsman:recorders"
RECONCILER = "pointsman:reconciler"
WAKE = "pointsman:wake:"
