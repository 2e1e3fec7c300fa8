"""How many requests are late, by the median and the 95th percentile of the last minute, which is all that routers tell of it."""

from hostler_autoscaler.carried import IN_TIME_WANTED
from hostler_autoscaler.scene import Scene
from hostler_autoscaler.shape import Shape


def late_per_second(scene: Scene) -> float:
    """Requests beyond the share that a target for the 95th percentile, or the length of the answers, lets be late anyway."""
    load, target_ms, learned = scene.load, scene.latency_ms, scene.capacity.learned
    if target_ms is None or not load.p95_ms or load.p95_ms <= target_ms or load.seconds_covered <= 0:
        return 0.0
    share = 1 - Shape(1.0, load.p50_ms or load.p95_ms, load.p95_ms, 1.0).in_time(1.0, target_ms)
    allowed = 1 - min(IN_TIME_WANTED, learned.best if learned is not None else 1.0)
    return max(share - allowed, 0.0) * load.completions / load.seconds_covered
