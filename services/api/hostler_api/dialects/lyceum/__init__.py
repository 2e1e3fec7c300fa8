"""Lyceum's dialect: its paths, words and errors for the same jobs, so that its own command line drives Hostler unchanged.

A deployment is a job, an org is a project. `requests` turns bodies into requests for jobs; `words`, `documents` and `offers` turn
jobs and catalogues into answers, all pure; `errors` renders what went wrong; `deployments`, `account` and `later` are the
routes. What the dialect can say and what it can't is in docs/dialects/lyceum.md.
"""

from fastapi import APIRouter

from hostler_api.dialects.lyceum import account, deployments, later
from hostler_api.dialects.lyceum.errors import lyceum_error
from hostler_api.dialects.lyceum.refusals import FORM

PREFIX = "/api/v2/external"
router = APIRouter(prefix=PREFIX)
for _each in (deployments.router, account.router, later.router):
    router.include_router(_each)

__all__ = ["FORM", "PREFIX", "lyceum_error", "router"]
