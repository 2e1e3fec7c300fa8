"""The texts of several processes as one."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hostler_router import merge
from hostler_router.metrics import RouterMetrics


def test_counters_histograms_and_gauges_are_added_up_and_what_differs_in_a_label_stays_apart() -> None:
    one = merge.parse(
        "# TYPE hits_total counter\nhits_total 3\n"
        "# TYPE seconds histogram\n"
        'seconds_bucket{le="1.0"} 1\nseconds_bucket{le="+Inf"} 2\nseconds_count 2\nseconds_sum 1.5\n'
        '# TYPE open gauge\nopen{job="a"} 5\n'
        '# TYPE which_info gauge\nwhich_info{name="w1"} 1\n'
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 100\n"
    )
    other = merge.parse(
        "# TYPE hits_total counter\nhits_total 4\n"
        "# TYPE seconds histogram\n"
        'seconds_bucket{le="1.0"} 0\nseconds_bucket{le="+Inf"} 1\nseconds_count 1\nseconds_sum 9.0\n'
        '# TYPE open gauge\nopen{job="a"} 1\nopen{job="b"} 2\n'
        '# TYPE which_info gauge\nwhich_info{name="w2"} 1\n'
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 90\n"
    )
    lines = merge.render(merge.add_up((one, other))).decode().splitlines()
    assert sorted(line for line in lines if not line.startswith("# HELP")) == sorted(
        [
            "# TYPE hits_total counter",
            "hits_total 7.0",
            "# TYPE seconds histogram",
            'seconds_bucket{le="1.0"} 1.0',
            'seconds_bucket{le="+Inf"} 3.0',
            "seconds_count 3.0",
            "seconds_sum 10.5",
            "# TYPE open gauge",
            'open{job="a"} 6.0',
            'open{job="b"} 2.0',
            "# TYPE which_info gauge",
            'which_info{name="w1"} 1.0',
            'which_info{name="w2"} 1.0',
            "# TYPE process_start_time_seconds gauge",
            "process_start_time_seconds 90.0",
        ]
    )


def test_one_process_alone_reads_as_it_would_without_a_parent() -> None:
    registry = CollectorRegistry()
    metrics = RouterMetrics(registry)
    metrics.ended('/v1/"odd"\\path\n', 200, 0.3)
    metrics.job_ended("job-1", "answered", 0.3)
    own = generate_latest(registry)
    again = merge.render(merge.add_up((merge.parse(own.decode()),)))
    as_values = [
        {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for each in families
            for sample in each.samples
        }
        for families in (
            text_string_to_metric_families(own.decode()),
            text_string_to_metric_families(again.decode()),
        )
    ]
    assert as_values[0] == as_values[1]
    assert len(as_values[0]) > 100


def test_a_worker_that_ended_leaves_what_it_counted_and_takes_its_gauges_along() -> None:
    ended = merge.parse(
        '# TYPE hits_total counter\nhits_total{job="a"} 3\n# TYPE open gauge\nopen{job="a"} 5\n'
    )
    kept = merge.what_stays(ended)
    after = merge.add_up((merge.parse('# TYPE hits_total counter\nhits_total{job="a"} 1\n'), kept))
    assert merge.render(after).decode().splitlines()[-1] == 'hits_total{job="a"} 4.0'
    assert "open" not in merge.render(after).decode()


def test_what_is_kept_of_a_job_goes_with_the_job() -> None:
    kept = merge.parse(
        '# TYPE hits_total counter\nhits_total{job="a"} 3\nhits_total{job="b"} 4\nhits_total 1\n'
    )
    living = merge.parse('# TYPE open gauge\nopen{job="b"} 0\n')
    left = merge.without_gone_jobs(kept, living)
    assert [key for family in left.values() for key in family.values] == [
        ("hits_total", (("job", "b"),)),
        ("hits_total", ()),
    ]
