"""From a job to what starts its replicas."""

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.launches import Launches
from tests.support.builders import JOB_ID, MODEL, running_job
from tests.support.manual_clock import ManualClock


async def test_a_launch_says_every_name_that_callers_find_the_job_by():
    bus = MemoryBus(MemoryServer(ManualClock()))
    job = running_job(name="demo", project="team")
    launches = Launches(bus.bucket(subjects.BUCKET_SECRETS), SecretKey(b"s" * 32))

    launch = await launches.launch(job, job.replicas[0])

    assert {launch.served_name, *launch.aliases} == {MODEL, "demo", "team/demo", JOB_ID}
