"""How a claim on a name stands, row by row."""

import pytest

from hostler_api.names import UNBORN_SECONDS, Standing, standing
from hostler_domain.changes import JobDeleted, JobDeleteRequested
from hostler_domain.job import Job
from tests.support.builders import at, created, fold

LIVING = fold(created(name="demo"))
LEAVING = fold(created(name="demo"), JobDeleteRequested(at(1), "key-1"))
GONE = fold(created(name="demo"), JobDeleteRequested(at(1), "key-1"), JobDeleted(at(2)))


@pytest.mark.parametrize(
    ("job", "name", "age_seconds", "expected"),
    [
        pytest.param(LIVING, "demo", 0, Standing.HELD, id="its job lives"),
        pytest.param(LIVING, "demo", 9e9, Standing.HELD, id="its job has lived for long"),
        pytest.param(LEAVING, "demo", 0, Standing.HELD, id="its job is going and still there"),
        pytest.param(LIVING, "other", 0, Standing.FREE, id="its job got another name"),
        pytest.param(GONE, "demo", 0, Standing.FREE, id="its job is gone"),
        pytest.param(None, "demo", UNBORN_SECONDS, Standing.UNBORN, id="its job may yet come"),
        pytest.param(None, "demo", UNBORN_SECONDS + 1, Standing.FREE, id="its job never came"),
    ],
)
def test_a_claim_stands_as_its_job_does(
    job: Job | None, name: str, age_seconds: float, expected: Standing
) -> None:
    assert standing(job, name, age_seconds=age_seconds) is expected
