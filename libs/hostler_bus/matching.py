"""Subjects and patterns: `*` stands for one token, `>` at the end for one or more."""


def is_literal(subject: str) -> bool:
    """Whether messages can be stored under it: tokens between dots, none of them empty, no wildcard, no space."""
    tokens = subject.split(".")
    return all(token and token not in {"*", ">"} and not any(map(str.isspace, token)) for token in tokens)


def matches(pattern: str, subject: str) -> bool:
    """Whether the literal `subject` is one of those that `pattern` takes."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in {"*", given[place]}:
            return False
    return len(wanted) == len(given)
