from __future__ import annotations

from django.urls import path

from magic import views

app_name = "magic"

urlpatterns = [
    path("magic", views.page, name="page"),
]
