"""Lyceum's dialect: its paths, words and errors for the same jobs, so that its own command line drives Hostler unchanged.

A deployment is a job, an org is a project. `requests` turns bodies into requests for jobs, `words` and `documents` turn jobs
into answers, all pure; `errors` renders what went wrong; `deployments`, `account` and `later` are the routes. What the dialect
can say and what it can't is in docs/dialects/lyceum.md.
"""

from hostler_api.dialects.lyceum.account import router as account_router
from hostler_api.dialects.lyceum.deployments import router as deployments_router
from hostler_api.dialects.lyceum.errors import lyceum_error
from hostler_api.dialects.lyceum.later import router as later_router

PREFIX = "/api/v2/external"
ROUTERS = (deployments_router, account_router, later_router)

__all__ = ["PREFIX", "ROUTERS", "lyceum_error"]
