from collections import Counter

from hostler_router.runtime_watch import asks

ROUTERS = [f"router-{number}" for number in range(5)]
REPLICAS = [f"replica-{number}" for number in range(500)]


def owner(routers: list[str], replica_id: str) -> str:
    (found,) = [name for name in routers if asks(name, routers, replica_id)]
    return found


def test_every_replica_is_asked_by_exactly_one_router() -> None:
    shares = Counter(owner(ROUTERS, replica_id) for replica_id in REPLICAS)
    assert set(shares) == set(ROUTERS)
    assert max(shares.values()) < 2 * len(REPLICAS) / len(ROUTERS)


def test_a_router_that_goes_moves_only_its_own_share() -> None:
    before = {replica_id: owner(ROUTERS, replica_id) for replica_id in REPLICAS}
    for replica_id in REPLICAS:
        if before[replica_id] != "router-0":
            assert owner(ROUTERS[1:], replica_id) == before[replica_id]


def test_a_router_that_has_not_looked_yet_asks_them_all_by_itself() -> None:
    assert asks("router-0", (), "replica-0")
