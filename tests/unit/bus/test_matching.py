import pytest

from hostler_bus.matching import is_literal, matches


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("a.b.c", "a.b", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a.b", True),
        ("a.>", "a", False),
        (">", "a", True),
    ],
)
def test_a_pattern_takes_the_subjects_that_it_should(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


@pytest.mark.parametrize("subject", ["", "a.", ".a", "a..b", "a.*", "a.>", "a b", "a\n"])
def test_what_is_no_plain_subject_is_seen(subject: str) -> None:
    assert not is_literal(subject)


def test_a_plain_subject_is_seen() -> None:
    assert is_literal("$KV.model_masters.a/b-c=d")
