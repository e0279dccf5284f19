"""Timing that is fair to every implementation: all in one process, one sample of each per round in random order, the L2 evicted
before every sample. A card at its power limit changes its clock with what ran before, so implementations that are timed one
after the other are compared under different clocks."""

import math
import statistics
import time

import torch


def median_with_interval(samples):
    """Median, and the tightest pair of order statistics, symmetric in rank, that holds the true median with at least 95%
    probability whatever the distribution; below 6 samples the range."""
    ordered = sorted(samples)
    count = len(ordered)
    outside = 0.0  # probability that the median lies below the pair; as much lies above
    low = 0
    for rank in range(count // 2):
        outside += math.comb(count, rank) / 2.0**count
        if 2 * outside > 0.05:
            break
        low = rank
    return statistics.median(ordered), [ordered[low], ordered[count - 1 - low]]


def measure_once(call):
    """Milliseconds of one call, after another that may still have to load what it runs."""
    call()
    begin = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def measure_rounds(calls, evict, order, *, warm_up, least, most, seconds):
    """{name: milliseconds of every round}. As many rounds as fit into `seconds`, between `least` and `most`, by what the last one
    of the `warm_up` rounds takes; without these, the first."""
    names = list(calls)
    samples = {name: [] for name in names}
    rounds = warm_up + most
    number = 0
    while number < rounds:
        started = time.perf_counter()
        order.shuffle(names)
        events = {}
        for name in names:
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            evict()
            begin.record()
            calls[name]()
            end.record()
            events[name] = (begin, end)
        torch.cuda.synchronize()
        number += 1
        if number > warm_up:
            for name, (begin, end) in events.items():
                samples[name].append(begin.elapsed_time(end))
        if number == max(warm_up, 1):
            rounds = warm_up + max(least, min(most, int(seconds / (time.perf_counter() - started))))
    return samples


def measure_sustained(calls, medians, order, seconds):
    """{name: milliseconds a call} back to back for about `seconds` each, one implementation after the other: what the power
    limit leaves of it. `medians` says what to time and how long a call takes; one too short for the host to keep up with has no
    entry."""
    names = [name for name, median in medians.items() if median >= 0.1]
    order.shuffle(names)
    results = {}
    for name in names:
        count = max(1, round(seconds * 1000 / medians[name]))
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(count):
            calls[name]()
        end.record()
        torch.cuda.synchronize()
        results[name] = begin.elapsed_time(end) / count
    return results
