"""All of the dialect for the application: its routes, where they lie, and the form of its errors."""

from hostler_api.dialects.runai import catalogue_routes, inference_routes, pod_routes, workload_routes
from hostler_api.dialects.runai.documents import ErrorAnswer
from hostler_api.dialects.runai.errors import error_answer
from hostler_api.dialects.runai.shell import PREFIX
from hostler_api.openapi import ErrorForm

ROUTERS = (inference_routes.router, pod_routes.router, workload_routes.router, catalogue_routes.router)
"""In this order: a path is answered by the first route that takes it."""

FORM = ErrorForm(f"{PREFIX}/", "application/json", ErrorAnswer, 400, ErrorAnswer)
"""How its errors are written down."""

__all__ = ["FORM", "PREFIX", "ROUTERS", "error_answer"]
