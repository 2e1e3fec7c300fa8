"""Whether the router under test is compiled; `make test-compiled` runs its tests so, and says it in the environment."""

import os
from typing import Final

import pytest

COMPILED: Final = os.environ.get("HOSTLER_TEST_COMPILED") == "1"

interpreted_only = pytest.mark.skipif(
    COMPILED, reason="compiled functions call each other directly, so a test can't put another in between"
)
