"""Metrics of a node's own life: queues, disk, clock, certificates, drain.

Owns: their names and help texts, read at each scrape.  Refuses: to count anything itself.
"""

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from node.draining import Phase
from node.service import Service


def life_metrics(service: Service) -> Iterator[Metric]:
    """Yield every family; without samples while there is no life."""
    yield from _queues(service)
    yield from _disk_and_drain(service)
    yield from _clock(service)
    yield from _certificates(service)


def _queues(service: Service) -> Iterator[Metric]:
    depth = GaugeMetricFamily("chartseal_queue_depth", "What waits.", labels=["queue"])
    limit = GaugeMetricFamily("chartseal_queue_limit", "What may wait.", labels=["queue"])
    dropped = CounterMetricFamily(
        "chartseal_queue_dropped", "Turned away for lack of room.", labels=["queue"]
    )
    life = service.life
    for queue in () if life is None else life.queues():
        depth.add_metric([queue.name], queue.depth)
        limit.add_metric([queue.name], queue.limit)
        dropped.add_metric([queue.name], queue.dropped)
    yield from (depth, limit, dropped)


def _disk_and_drain(service: Service) -> Iterator[Metric]:
    low = GaugeMetricFamily("chartseal_disk_low", "1 while clients' writes are refused.")
    reserve = GaugeMetricFamily("chartseal_disk_reserve_bytes", "Space kept back.")
    phase = GaugeMetricFamily("chartseal_drain_phase", "1 for that in force.", labels=["phase"])
    pulses = CounterMetricFamily(
        "chartseal_watchdog_pulses", "Times that engine and disk were seen to move."
    )
    life = service.life
    if life is not None:
        low.add_metric([], life.disk.low())
        reserve.add_metric([], life.disk.reserve_bytes)
        for each in Phase:
            phase.add_metric([each], each == life.drain.phase)
        pulses.add_metric([], life.pulses)
    yield from (low, reserve, phase, pulses)


def _clock(service: Service) -> Iterator[Metric]:
    skew = GaugeMetricFamily(
        "chartseal_clock_skew_seconds",
        "How far the others' clocks are ahead of ours, median; none while too few are heard.",
    )
    wrong = GaugeMetricFamily(
        "chartseal_clock_wrong", "1 while this clock is beyond what the others accept."
    )
    jumps = CounterMetricFamily(
        "chartseal_clock_jumps", "Jumps of the wall clock.", labels=["direction"]
    )
    life = service.life
    if life is not None:
        if life.clock.skew_ms is not None:
            skew.add_metric([], life.clock.skew_ms / 1000)
        wrong.add_metric([], life.clock.wrong)
        for direction, count in life.clock.jumps.items():
            jumps.add_metric([direction], count)
    yield from (skew, wrong, jumps)


def _certificates(service: Service) -> Iterator[Metric]:
    left = GaugeMetricFamily(
        "chartseal_certificate_expiry_seconds",
        "Until a certificate of the client port ends; negative once it has.",
        labels=["name"],
    )
    reloads = CounterMetricFamily(
        "chartseal_certificate_reloads", "New certificate files, by outcome.", labels=["result"]
    )
    life = service.life
    if life is not None:
        for item in life.certificates.expiries:
            left.add_metric([item.name], item.left_s(time.time()))
        for result, count in life.certificates.reloads.items():
            reloads.add_metric([result], count)
    yield from (left, reloads)
