"""Which files with a secret in them are private enough to be read."""

import pytest

from hostler_kit.secret_key import is_private

ME, MY_GROUP, ANOTHER = 10001, 10001, 4711


@pytest.mark.parametrize(
    ("mode", "owner", "group", "private"),
    [
        pytest.param(0o600, ME, MY_GROUP, True, id="mine alone"),
        pytest.param(0o400, 0, 0, True, id="root's alone"),
        pytest.param(0o440, 0, MY_GROUP, True, id="as Kubernetes mounts a Secret"),
        pytest.param(0o640, ME, MY_GROUP, False, id="mine, and read by a group"),
        pytest.param(0o460, 0, MY_GROUP, False, id="written by a group"),
        pytest.param(0o444, 0, MY_GROUP, False, id="read by all"),
        pytest.param(0o440, 0, ANOTHER, False, id="read by a group that is not mine"),
        pytest.param(0o440, 0, 0, False, id="read by root's group"),
        pytest.param(0o440, ANOTHER, MY_GROUP, False, id="another's, and read by my group"),
    ],
)
def test_a_file_is_private_when_nobody_else_is_meant_to_read_it(
    mode: int, owner: int, group: int, private: bool
):
    groups = frozenset({MY_GROUP, 0})
    assert is_private(0o100000 | mode, owner=owner, group=group, user=ME, groups=groups) is private


def test_what_root_runs_reads_files_that_are_closed_to_groups():
    facts = {"owner": 0, "group": MY_GROUP, "user": 0, "groups": frozenset({MY_GROUP})}
    assert is_private(0o100600, **facts)
    assert not is_private(0o100440, **facts)
