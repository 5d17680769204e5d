"""One seed for each purpose: none shared, none that changes from one version to the next."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from pipeline.seeds import derive


def test_a_seed_is_numpys_seed_sequence_of_the_study_and_the_texts_checksums() -> None:
    sequence = np.random.SeedSequence([20261122, zlib.crc32(b"classifier"), 50, 3, 3])
    assert derive(20261122, "classifier", 50, 3) == int(sequence.generate_state(2, np.uint32).view(np.uint64)[0]) // 2


def test_a_seed_stays_what_it_was_when_the_committed_results_were_made() -> None:
    assert derive(1, "gan", 50, 0) == 5267332929440777036
    assert derive(20261122, "classifier", 50, 3) == 9214078089234180654


def test_no_two_purposes_replicates_or_budgets_share_a_seed() -> None:
    arms = ["real+copies", "real+interpolated", "gan", "generate", "assess", "classifier", "subset"]
    seeds = [derive(5, name, budget, number) for name in arms for budget in (10, 50, 1000) for number in range(10)]
    inner = [derive(seeds[0], name) for name in ("weights", "batches", "distortion", "noise and distortion", "monitor")]
    inner += [derive(seeds[0], "batches", 1), derive(seeds[0], "digit", 1, 0), derive(seeds[0], "digit", 0, 1)]
    assert len({*seeds, *inner}) == len(seeds) + len(inner)


def test_a_trailing_zero_counts() -> None:
    assert len({derive(5, "batches"), derive(5, "batches", 0), derive(5, "batches", 0, 0)}) == 3


def test_the_order_of_a_purpose_counts() -> None:
    assert derive(5, "gan", 10, 50) != derive(5, "gan", 50, 10)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**63 - 1])
def test_every_seed_fits_numpy_and_torch(seed: int) -> None:
    drawn = [derive(seed, "digit", number) for number in range(200)]
    assert min(drawn) >= 0
    assert 2**62 < max(drawn) < 2**63
    assert derive(drawn[0], "again") != derive(drawn[1], "again")
