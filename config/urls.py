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

urlpatterns = [
    path("", RedirectView.as_view(url="/magic")),
    path("", include("magic.urls")),
    path("api/", include("streaming.urls")),
    path("health", probes.health),
    path("ready", probes.ready),
    path("version", probes.version),
    path("metrics", probes.metrics),
    path("admin/", admin.site.urls),
]
