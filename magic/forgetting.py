"""What is kept of a stream beside it goes with its text: a result of triage keeps its numbers. Synchronous."""

from __future__ import annotations

from django.db.models import Q

from magic.models import TriageResult


def forget_results(streams: list[int]) -> None:
    """Empty the results that one of these streams made. In the transaction that empties the streams."""
    TriageResult.objects.filter(Q(stream__in=streams) | Q(repair__in=streams)).update(
        state=TriageResult.State.FORGOTTEN,
        content="",
        subject="",
        from_email="",
        summary="",
        action_items=[],
        reasons=[],
        inputs={},
    )
