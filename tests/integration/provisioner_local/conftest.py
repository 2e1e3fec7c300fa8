"""A folder of its own for each test; whatever a test leaves running is ended."""

import pytest

from tests.integration.provisioner_local.local_site import Site


@pytest.fixture
async def site(tmp_path):
    made = Site(tmp_path / "provisioner")
    yield made
    await made.close()
