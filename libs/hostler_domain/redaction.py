"""Takes what looks like a secret out of a text that is about to be shown.

Secrets are kept out of texts by their types. This is for those that a caller put where none belongs: a token in a field that is
quoted in a refusal, a key in an address that is logged. It knows keys by the beginnings that their makers gave them.
"""

import re

_SECRET = re.compile(
    r"\b(hsk_|hss_|hsr_)[A-Za-z0-9_.-]{12,}|\b(hf_)[A-Za-z0-9]{16,}|\b(sk-)[A-Za-z0-9_-]{16,}", re.ASCII
)


def redact(text: str) -> str:
    """`text` with all but the beginning of every key and token in it replaced."""
    return _SECRET.sub(lambda found: f"{found[1] or found[2] or found[3]}[redacted]", text)
