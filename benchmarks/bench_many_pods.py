"""The checks of all runbooks over a service of two thousand pods, against the same over three, with no system to ask.

Each pod has noisy samples of every measure; one in twenty leaks and fills its pool. What is measured is CPU, the slowest check
first: checks share an interpreter, and have ten seconds.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from common import show

from runbook_lib.models.frame import Frame, frame
from runbook_lib.playbooks import names, playbook
from runbook_lib.playbooks.declaration import CheckStep
from runbook_lib.testing import HOUR, FakeCluster, FakeMetrics, ago, context, error_symptom, fake_sources, pods

FEW, MANY = 3, 2000
ROUNDS = 3
SLOWEST = 6
SAMPLES = 120
LEVEL = {"memory_limit": 2.5e8, "pool_size": 5.0, "cpu_limit": 1.0, "cpu_request": 0.5}
NOISY = {
    "memory_working_set": 1e8,
    "pool_in_use": 4.0,
    "cpu_usage": 0.1,
    "cpu_throttled_ratio": 0.01,
    "error_ratio_by_pod": 0.05,
    "latency_by_pod": 0.5,
}
RISING = ("memory_working_set", "pool_in_use")
NOISE = 0.02


def measured(running: list[str]) -> dict[str, Frame]:
    """What Prometheus says of these pods, by our names of measures."""
    chance = np.random.default_rng(1)
    shape = (len(running), SAMPLES)
    rise = np.zeros(shape)
    rise[: max(1, len(running) // 20)] = np.linspace(0, 1, SAMPLES)
    times = np.tile(pd.date_range(HOUR.start, HOUR.end, periods=SAMPLES), len(running))
    of_pods = np.repeat(np.array(running, dtype=object), SAMPLES)

    def answer(values: np.ndarray) -> Frame:
        return frame({"time": pd.DatetimeIndex(times, tz="UTC"), "pod": of_pods, "value": values.ravel()})

    noisy = {
        name: value * (1 + NOISE * chance.standard_normal(shape) + (rise if name in RISING else 0))
        for name, value in NOISY.items()
    }
    return {
        name: answer(values)
        for name, values in {**noisy, **{name: np.full(shape, value) for name, value in LEVEL.items()}}.items()
    }


def cpu_seconds(step: CheckStep, running: list[str], answers: dict[str, Frame]) -> float:
    """What a check takes over these pods."""
    cluster = FakeCluster(pods=pods(running), deployment={"replicas": len(running)})
    looked = context(sources=fake_sources(metrics=FakeMetrics(answers), cluster=cluster), symptom=error_symptom(ago(10)))
    started = time.process_time()
    step.run(looked)
    return time.process_time() - started


def main() -> None:
    """Measure each check of each runbook once for all runbooks that have it."""
    steps = list({step.run: step for issue in names() for step in playbook(issue).checks}.values())
    taken: dict[int, dict[str, list[float]]] = {}
    for count in (FEW, MANY):
        running = [f"shop-7d9f8b6c5d-{number:05d}" for number in range(count)]
        answers = measured(running)
        for step in steps:
            cpu_seconds(step, running, answers)  # imports
        taken[count] = {step.name: [cpu_seconds(step, running, answers) for _ in range(ROUNDS)] for step in steps}
    for name in sorted(taken[MANY], key=lambda name: -min(taken[MANY][name]))[:SLOWEST]:
        few, many = f"{name}, {FEW} pods", f"{name}, {MANY} pods"
        show({few: taken[FEW][name], many: taken[MANY][name]}, against=few)


if __name__ == "__main__":
    main()
