"""The streams of the recorded history: healthy ones, and one for the bug that is planted against each promise."""

from __future__ import annotations

FINE = "fine"
"""Its provider answers; a reader leaves, and resumes."""
BUSY = "busy"
"""Its provider is overloaded at first."""
BROKEN = "broken"
"""Its provider breaks off."""
STOPPED = "stopped"
"""It is cancelled."""
KILLED = "killed"
"""Its producer is killed."""
HEALTHY = (FINE, BUSY, BROKEN, STOPPED, KILLED)

FORGETS = "forgets"
"""Readers see its events before they are durable; its producer is killed."""
SKIPS = "skips"
"""A resume leaves an event out."""
TWICE = "twice"
"""Its start asks the provider twice."""
UNENDED = "unended"
"""Nobody closes it when its producer is killed."""
UNFENCED = "unfenced"
"""Its producer goes on after the terminal event."""
DESERTED = "deserted"
"""It is cancelled when a reader leaves."""
UNSETTLED = "unsettled"
"""Its cost is settled in a later transaction than its end."""
SHOWN = "shown"
"""A stranger is told 403."""
RESUMED = "resumed"
"""A resume of what is not there starts it."""

PLANTED = {
    1: FORGETS,
    2: SKIPS,
    3: TWICE,
    4: UNENDED,
    5: UNFENCED,
    6: DESERTED,
    7: UNSETTLED,
    8: SHOWN,
    9: RESUMED,
}
"""By the promise that is broken."""

FORGOTTEN = 30
"""The event from which on those of FORGETS never become durable."""

DYING = (KILLED, FORGETS, UNENDED)
"""Those whose producer is killed."""
