from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from streaming import probes


def home(request: HttpRequest) -> HttpResponse:
    """A synchronous page of the project's own."""
    return HttpResponse("home")


urlpatterns = [
    path("", home),
    path("llm/api/", include("streaming.urls")),
    path("llm/ready", probes.ready),
]
