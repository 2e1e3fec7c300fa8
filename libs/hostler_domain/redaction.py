"""Takes what looks like a secret out of a text that is about to be shown.

Secrets are kept out of texts by their types. This is for those that a caller put where none belongs: a token in a field that is
quoted in a refusal, a key in an address that is logged. It knows keys by the beginnings that their makers gave them.
"""

import re

_SECRET = re.compile(
    r"\b(hsk_|hss_|hsr_|hf_|sk-)(?=[A-Za-z0-9]{5})[A-Za-z0-9_.\-]*[A-Za-z0-9]{10}[A-Za-z0-9_.\-]*"
)


def redact(text: str) -> str:
    """`text` with all but the beginning of every key and token in it replaced."""
    return _SECRET.sub(r"\1[redacted]", text)
