"""All addresses of the project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from magic.api import router as templates
from magic.triage_api import router as triage
from streaming import probes
from streaming.api import api

handler400 = "config.errors.bad_request"

# One description of all: /api/docs. Before the addresses below are made of it.
api.add_router("", templates)
api.add_router("", triage)

# With a slash at the end, as people and monitors write them, the probes answer: many a monitor takes a redirect for
# health. The rest redirects to its one address, by which a proxy may keep it to itself.
PROBES = {"health": probes.health, "ready": probes.ready, "version": probes.version}

urlpatterns = [
    path("", RedirectView.as_view(url="/magic")),
    path("magic/", RedirectView.as_view(pattern_name="magic:page", query_string=True)),
    path("api/docs/", RedirectView.as_view(pattern_name="streaming:api:openapi-view", query_string=True)),
    path("", include("magic.urls")),
    path("api/", include("streaming.urls")),
    *(path(name + slash, probe) for name, probe in PROBES.items() for slash in ("", "/")),
    path("metrics", probes.metrics, name="metrics"),
    path("metrics/", RedirectView.as_view(pattern_name="metrics")),
    path("admin/", admin.site.urls),
]
