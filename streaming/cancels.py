"""Cancel: an intent on a stream, which the process that produces it finds and acts on. Synchronous."""

from __future__ import annotations

from django.utils import timezone

from streaming import notices
from streaming.models import Stream


def request_all(streams: list[int]) -> list[None]:
    """Note that streams are to end, and tell; a stream that is closed, or asked already, stays as it is."""
    Stream.objects.filter(pk__in=streams, finished_at__isnull=True, cancel_requested_at__isnull=True).update(
        cancel_requested_at=timezone.now()
    )
    notices.send(notices.CANCELLED, streams)
    return [None] * len(streams)


def find_names(stream: int) -> tuple[str, str, str]:
    """The id, the model and the provider of a stream."""
    return Stream.objects.values_list("stream_id", "model", "provider").get(pk=stream)


def find_requested(process: int) -> list[int]:
    """The open streams of a process that are to end."""
    asked = Stream.objects.filter(cancel_requested_at__isnull=False, finished_at__isnull=True)
    return list(asked.filter(head__process=process, head__closed=False).values_list("pk", flat=True))
