"""The question that ends a drain: how many requests does a router still have on a replica?"""

from hostler_contracts.envelope import Contract


class InFlightQuestion(Contract):
    """Asked by a provisioner.

    Attributes:
        replica_id: The replica that is draining.
        seq: Sequence in JOBS that the router must have seen for its answer to count.
    """

    replica_id: str
    seq: int


class InFlightAnswer(Contract):
    """Answered by a router.

    Attributes:
        in_flight: Requests that it still has on the replica.
        up_to_date: Whether it had seen the sequence in the question, so that no new request can be added.
    """

    in_flight: int
    up_to_date: bool
