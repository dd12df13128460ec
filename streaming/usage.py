"""What an owner has used since some time, summed up from the ledger. Synchronous reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Q, Sum

from streaming.claims import Owner
from streaming.events import usd
from streaming.models import CostRecord, CostState


def usage(owner: Owner, since: datetime) -> dict[str, Any]:
    """Counts and the known costs of the streams that were started at ``since`` or later.

    ``total_cost`` is in USD, null where none is known; ``estimated`` and ``unknown`` count the streams whose cost
    is only our own count, and those that no price is known for. Live streams are in the counts as far as they got.
    """
    own = CostRecord.objects.filter(
        stream__issuer=owner.issuer, stream__user_id=owner.user_id, stream__created_at__gte=since
    )
    found = own.aggregate(
        streams=Count("pk"),
        prompt=Sum("prompt_tokens"),
        completion=Sum("completion_tokens"),
        total=Sum("total_pico_usd"),
        estimated=Count("pk", filter=Q(state=CostState.ESTIMATED)),
        unknown=Count("pk", filter=Q(state=CostState.UNKNOWN)),
    )
    return {
        "since": since,
        "streams": found["streams"],
        "prompt_tokens": found["prompt"] or 0,
        "completion_tokens": found["completion"] or 0,
        "total_cost": None if found["total"] is None else float(usd(int(found["total"])) or 0),
        "estimated": found["estimated"],
        "unknown": found["unknown"],
    }
