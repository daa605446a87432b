"""Two owners, random work on both sides, random faults and deaths: once it is quiet, everything is in step.

A schedule is a seed: `Chaos` draws forty steps and more from it, `Watch` looks after every run. Seeds and not rules of
Hypothesis: what those add is shrinking, and a schedule in which each step depends on what the steps before left behind
does not get simpler by it. The seeds are fixed, so that a schedule that once failed is a test for ever; `make soak` does
all of them, draws fresh ones, and names the seed of whatever fails.
"""

import os
import random
import time

import pytest
from django.db import transaction
from django.utils import timezone

from tests.tracking.linked.chaos import Chaos
from tests.tracking.linked.watch import Watch

pytestmark = pytest.mark.django_db

SCHEDULES = 1000
BLOCK = 10
# Blocks that every test run does; a continuous integration server does all, and so does `make soak`.
SAMPLE = 10
DONE = SCHEDULES // BLOCK if os.environ.get("CI") else SAMPLE
BLOCKS = [pytest.param(number, marks=[] if number < DONE else pytest.mark.soak) for number in range(SCHEDULES // BLOCK)]
# Steps of one schedule, fewest and most.
STEPS = (40, 46)


def schedule(seed: int, patch: pytest.MonkeyPatch) -> int:
    """Do one schedule and look whether all is well; return its number of steps."""
    with transaction.atomic(), patch.context() as clock:
        chaos = Chaos(seed)
        clock.setattr(timezone, "now", lambda: chaos.office.now)
        watch = Watch(chaos)
        try:
            for _ in range(chaos.random.randint(*STEPS)):
                chaos.step()
            watch.settle()
            watch.check()
        except Exception as error:
            raise AssertionError(f"seed {seed}, after {chaos.steps} steps") from error
        transaction.set_rollback(True)
        return chaos.steps


@pytest.mark.parametrize("block", BLOCKS)
def test_whatever_happens_both_sides_end_in_step(monkeypatch, record_property, block):
    """A thousand schedules, in blocks that spread over the processes of a parallel run; of these a sample each time."""
    steps = [schedule(seed, monkeypatch) for seed in range(block * BLOCK, (block + 1) * BLOCK)]
    record_property("schedules", steps)


@pytest.mark.soak
def test_fresh_schedules_end_in_step_for_ten_minutes(monkeypatch, record_property):
    """Seeds that nobody has tried; the message of a failure names the seed."""
    end, steps = time.monotonic() + 600, []
    while time.monotonic() < end:
        steps.append(schedule(random.randrange(SCHEDULES, 2**32), monkeypatch))
    record_property("schedules", steps)
