"""The API. Include it at ``api/``."""

from django.urls import path, re_path

from streaming.api import api
from streaming.views import not_found, stream

app_name = "streaming"

urlpatterns = [
    path("v1/stream", stream, name="stream"),
    path("", api.urls),
    re_path("", not_found),
]
