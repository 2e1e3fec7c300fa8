"""New ids. They sort by the time they were made, so that a list by id is a list by age."""

import uuid_utils


def new_id() -> str:
    """A UUIDv7 as text."""
    return str(uuid_utils.uuid7())
