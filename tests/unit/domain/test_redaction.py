import pytest

from hostler_domain.api_keys import make_key
from hostler_domain.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"runtime {make_key(bytes(range(20)))!r} is none", "runtime 'hsk_[redacted]' is none"),
        ("/v1/jobs/hf_AbCdEfGhIjKlMnOpQrStUvWxYz/events", "/v1/jobs/hf_[redacted]/events"),
        ("http://me:sk-proj-AbCdEfGhIjKlMnOp@host", "http://me:sk-[redacted]@host"),
        ("hss_01939e00-0000-7000-8000-000000000001.1790000000.x", "hss_[redacted]"),
        (
            '{"a": "hf_AbCdEfGhIjKlMnOp", "b": "hf_BbCdEfGhIjKlMnOp"}',
            '{"a": "hf_[redacted]", "b": "hf_[redacted]"}',
        ),
        (make_key(b"x" * 32)[:20], "hsk_[redacted]"),
    ],
)
def test_what_begins_like_a_secret_is_cut_behind_its_beginning(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf_token_secret",
        "hf-token.01939e00-0000-7000-8000-000000000001",
        "hsk_AbCdEfGh",
        "task-0123456789abcdefghij",
        "a job named ask-me-anything",
        "send it as 'Authorization: Bearer hsk_...'",
        "upstream-key.01939e00",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
