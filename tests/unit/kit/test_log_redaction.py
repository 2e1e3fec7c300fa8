"""What a service writes to its log, seen from outside, since logging is set up once for a whole process."""

import json
import subprocess
import sys

TOKEN = "hf_CanaryOfHuggingFace0123456789abcdef"
PROGRAM = f"""
import logging
from hostler_kit.logs import configure_logs
logger = configure_logs(service="test", level="info", form="json")
logger.info("request", path="/v1/jobs/{TOKEN}", nested={{"deep": ["{TOKEN}"]}})
logging.getLogger("a.library").warning("cannot fetch with %s", "{TOKEN}")
try:
    raise ValueError("bad value {TOKEN}")
except ValueError:
    logger.exception("request.bug")
"""


def test_no_line_of_a_log_holds_a_token_wherever_it_was_put() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"].split()[0] for line in lines] == ["request", "cannot", "request.bug"]
    assert lines[0]["path"] == "/v1/jobs/hf_[redacted]"
    assert "ValueError: bad value hf_[redacted]" in lines[2]["exception"]
    assert TOKEN not in done.stdout + done.stderr
