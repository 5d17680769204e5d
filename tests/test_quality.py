"""Quality of synthetic images: against numbers worked by hand, reference implementations, and planted copies."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from prdc import compute_prdc
from scipy import linalg, ndimage, stats
from scipy.spatial.distance import cdist
from sklearn.metrics import recall_score
from sklearn.metrics.pairwise import polynomial_kernel
from torch import from_numpy
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from pipeline.errors import InputError
from pipeline.quality import kernel
from pipeline.quality.agreement import labels_to_agreement
from pipeline.quality.copying import distances_to_z, images_to_copying
from pipeline.quality.coverage import features_to_class_coverage, features_to_coverage
from pipeline.quality.fidelity import Gaussian, features_to_fidelity, features_to_statistics, statistics_to_distance
from pipeline.quality.kernel import features_to_class_kernel, features_to_kernel, features_to_kernel_distance
from pipeline.quality.memorisation import (
    Distances,
    distances_to_numbers,
    images_to_distances,
    images_to_memorisation,
)
from pipeline.quality.pose import images_to_pose
from pipeline.quality.spread import Spread, collapsed, images_to_spread

Pixels = NDArray[np.uint8]
MNIST = Path(__file__).parents[1] / "datasets" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"


@pytest.fixture(scope="module")
def digits() -> Pixels:
    """The first 1,500 MNIST training images, (1500, 1, 28, 28); plain reading, so that no project code is trusted."""
    with gzip.open(MNIST) as file:
        file.seek(16)
        return np.frombuffer(file.read(1500 * 28 * 28), np.uint8).reshape(1500, 1, 28, 28)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class TestFidelity:
    def test_one_dimension_by_hand(self) -> None:
        # (3 - 1)^2 + (sd 2 - sd 5)^2 = 4 + 9
        a = Gaussian(np.array([1.0]), np.array([[4.0]]))
        b = Gaussian(np.array([3.0]), np.array([[25.0]]))
        assert statistics_to_distance(a, b) == pytest.approx(13)

    def test_diagonal_by_hand(self) -> None:
        # means differ by (3, 4): 25; standard deviations (1, 2) against (3, 2): 4 + 0
        a = Gaussian(np.zeros(2), np.diag([1.0, 4.0]))
        b = Gaussian(np.array([3.0, 4.0]), np.diag([9.0, 4.0]))
        assert statistics_to_distance(a, b) == pytest.approx(29)
        assert statistics_to_distance(b, a) == pytest.approx(29)

    def test_statistics_by_hand(self) -> None:
        gaussian = features_to_statistics(np.array([[0, 0], [2, 4]], dtype=np.float32))
        np.testing.assert_allclose(gaussian.mean, [1, 2])
        np.testing.assert_allclose(gaussian.covariance, [[2, 4], [4, 8]])

    def test_textbook_formula_with_scipys_matrix_root(self, rng: np.random.Generator) -> None:
        a, b = (features_to_statistics(rng.normal(size=(300, 16)) @ rng.normal(size=(16, 16))) for _ in range(2))
        root = linalg.sqrtm(a.covariance @ b.covariance).real
        expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * root)
        assert statistics_to_distance(a, b) == pytest.approx(expected, rel=1e-9)

    def test_matches_torchmetrics(self, rng: np.random.Generator) -> None:
        a, b = (features_to_statistics(rng.normal(size=(300, 16)) @ rng.normal(size=(16, 16))) for _ in range(2))
        theirs = _compute_fid(*(from_numpy(part) for part in (a.mean, a.covariance, b.mean, b.covariance)))
        assert statistics_to_distance(a, b) == pytest.approx(float(theirs), rel=1e-9)

    def test_singular_covariance(self, rng: np.random.Generator) -> None:
        # 64 features of rank 3, as a network with dead units gives: rotating changes no distance, so 3 by hand will do.
        rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0][:3]
        a = Gaussian(np.zeros(64), rotation.T @ np.diag([1.0, 4.0, 9.0]) @ rotation)
        b = Gaussian(np.zeros(64), rotation.T @ np.diag([4.0, 4.0, 1.0]) @ rotation)
        assert statistics_to_distance(a, b) == pytest.approx(1 + 0 + 4, abs=1e-6)
        assert statistics_to_distance(a, a) == pytest.approx(0, abs=1e-9)

    def test_floor_is_beside_the_distance(self, rng: np.random.Generator) -> None:
        real, others = rng.normal(size=(2, 400, 8))
        numbers = features_to_fidelity(rng.normal(1, 1, (400, 8)), real, others)
        assert numbers["frechet"] == pytest.approx(8, rel=0.2)  # eight features, each mean 1 off
        assert 0 < numbers["frechet_floor"] < 0.3
        assert (numbers["images"], numbers["features"]) == (400, 8)
        assert features_to_fidelity(real, real, others)["frechet"] == pytest.approx(0, abs=1e-9)

    def test_refusals(self, rng: np.random.Generator) -> None:
        few = rng.normal(size=(15, 8))
        with pytest.raises(InputError, match="at least 16 images a set, got 15"):
            features_to_fidelity(few, few, few)
        with pytest.raises(InputError, match="equally many"):
            features_to_fidelity(rng.normal(size=(20, 8)), rng.normal(size=(30, 8)), rng.normal(size=(30, 8)))
        with pytest.raises(InputError, match="diverged"):
            features_to_statistics(np.full((5, 2), np.nan))


class TestKernel:
    @pytest.mark.parametrize("shift", [0.0, 0.5])
    def test_matches_torchmetrics(self, rng: np.random.Generator, shift: float) -> None:
        a, b = rng.normal(size=(150, 12)), rng.normal(shift, 1, (150, 12))
        expected = float(poly_mmd(from_numpy(a), from_numpy(b)))
        assert features_to_kernel_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_matches_the_definition_with_sklearns_kernel(
        self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernel, "BLOCK", 7)  # several blocks, the last one cut off; sets of different size
        a, b = rng.normal(size=(40, 5)), rng.normal(1, 1, (25, 5))
        within = [polynomial_kernel(x)[~np.eye(len(x), dtype=bool)].mean() for x in (a, b)]
        expected = sum(within) - 2 * polynomial_kernel(a, b).mean()
        assert features_to_kernel_distance(a, b) == pytest.approx(expected, rel=1e-12)

    def test_by_hand(self) -> None:
        # One feature, kernel (x y + 1)^3: within a = (0, 1) 1; within b = (2, 1) 27; across 1, 1, 27, 8.
        a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [1.0]])
        assert features_to_kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * 37 / 4)

    def test_is_not_biased_for_few_images(self, rng: np.random.Generator) -> None:
        distances = [features_to_kernel_distance(*rng.normal(size=(2, 10, 3))) for _ in range(400)]
        error = np.std(distances) / np.sqrt(len(distances))
        assert abs(np.mean(distances)) < 4 * error
        assert min(distances) < 0 < max(distances)
        # Sets that are one apart in every feature have the same distance, however few images tell.
        many, few = (
            [features_to_kernel_distance(rng.normal(size=(n, 3)), rng.normal(1, 1, (n, 3))) for _ in range(300)]
            for n in (60, 10)
        )
        error = np.hypot(np.std(many), np.std(few)) / np.sqrt(300)
        assert abs(np.mean(many) - np.mean(few)) < 4 * error

    def test_floor_is_beside_the_distance(self, rng: np.random.Generator) -> None:
        unused, others = rng.normal(size=(2, 300, 6))
        numbers = features_to_kernel(rng.normal(1, 1, (300, 6)), unused, others)
        assert numbers["kid"] > 10 * abs(numbers["kid_floor"])
        assert numbers["kid_floor"] == pytest.approx(features_to_kernel_distance(unused, others), rel=1e-9)

    def test_by_class(self, rng: np.random.Generator) -> None:
        labels = np.append(np.repeat([0, 1], 80), 2)
        synthetic, unused, others = rng.normal(size=(3, 161, 4))
        synthetic[labels == 1] += 1  # class 1 misses its place
        table = features_to_class_kernel(synthetic, unused, others, labels, ("zero", "one", "single", "never"))
        assert table["class"].tolist() == ["zero", "one", "single", "never"]
        assert table["kid"][0] == pytest.approx(
            features_to_kernel_distance(synthetic[labels == 0], unused[labels == 0]), rel=1e-9
        )
        assert table["kid"][1] > 10 * max(abs(table["kid"][0]), *table["kid_floor"][:2].abs())
        assert table.loc[2:, ["kid", "kid_floor"]].isna().all(axis=None)

    def test_refusals(self, rng: np.random.Generator) -> None:
        for a, b in (((1, 4), (9, 4)), ((9, 4), (1, 4)), ((9, 4), (9, 3))):
            with pytest.raises(InputError, match="two images or more a set"):
                features_to_kernel_distance(np.zeros(a), np.zeros(b))
        with pytest.raises(InputError, match="diverged"):
            features_to_kernel_distance(np.zeros((5, 2)), np.full((5, 2), np.inf))


class TestCoverage:
    @pytest.mark.parametrize(("neighbours", "shift"), [(1, 0.0), (3, 0.5), (5, 1.5)])
    def test_matches_the_authors_code(self, rng: np.random.Generator, neighbours: int, shift: float) -> None:
        real, synthetic = rng.normal(size=(200, 6)), rng.normal(shift, 0.8, (150, 6))
        expected = compute_prdc(real, synthetic, nearest_k=neighbours)
        assert features_to_coverage(real, synthetic, neighbours) == pytest.approx(expected, abs=1e-12)

    def test_several_blocks_match_too(self, rng: np.random.Generator) -> None:
        real, synthetic = (
            rng.normal(size=(3000, 2)),
            rng.normal(0.3, 1, (3200, 2)),
        )  # 73 MiB of distances, in 64 MiB blocks
        expected = compute_prdc(real, synthetic, nearest_k=5)
        assert features_to_coverage(real, synthetic) == pytest.approx(expected, abs=1e-12)

    def test_by_hand_on_a_line(self) -> None:
        real, synthetic = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [10.0], [10.2]])
        # Radii of 0, 1 and 3 to the next neighbour: 1, 1, 2. 0.5 lies in the balls of 0 and 1; 10 and 10.2 in none.
        # Radii of 0.5, 10 and 10.2: 9.5, 0.2, 0.2. All reals lie in the wide ball of the outlier 0.5.
        numbers = features_to_coverage(real, synthetic, neighbours=1)
        assert numbers == pytest.approx({"precision": 1 / 3, "recall": 1, "density": 2 / 3, "coverage": 2 / 3})

    def test_identical_and_distant_sets(self, rng: np.random.Generator) -> None:
        real = rng.normal(size=(100, 4))
        same = features_to_coverage(real, real)
        assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
        assert set(features_to_coverage(real, real + 100).values()) == {0.0}

    def test_a_repeated_image_is_precise_but_covers_little(self, rng: np.random.Generator) -> None:
        real = rng.normal(size=(200, 4))
        repeated = np.repeat(real.mean(axis=0, keepdims=True), 200, axis=0)
        numbers = features_to_coverage(real, repeated)
        assert numbers["precision"] == 1
        assert numbers["recall"] == 0
        assert numbers["coverage"] < 0.2

    def test_too_few_images(self, rng: np.random.Generator) -> None:
        with pytest.raises(InputError, match="5 nearest neighbours need more than 5 images a set, got 5"):
            features_to_coverage(rng.normal(size=(50, 4)), rng.normal(size=(5, 4)))
        with pytest.raises(InputError, match="0 nearest"):
            features_to_coverage(rng.normal(size=(50, 4)), rng.normal(size=(50, 4)), neighbours=0)

    def test_per_class_matches_the_authors_code(self, rng: np.random.Generator) -> None:
        labels, others = rng.permutation(np.repeat([0, 1, 2], [40, 60, 80])), rng.permutation(np.repeat([0, 1, 2], 50))
        real, synthetic = rng.normal(size=(180, 6)), rng.normal(0.4, 0.8, (150, 6))
        table = features_to_class_coverage(real, labels, synthetic, others, ("a", "b", "c"), 3)
        for label, row in enumerate(table.drop(columns="class").to_dict("records")):
            expected = compute_prdc(real[labels == label], synthetic[others == label], nearest_k=3)
            assert row == pytest.approx(expected, abs=1e-12)
        assert table["recall"].nunique() == table["precision"].nunique() == 3

    def test_per_class(self, rng: np.random.Generator) -> None:
        labels = np.repeat([0, 1], 50)
        real = rng.normal(size=(100, 4)) + 50 * labels[:, None]
        synthetic = rng.normal(size=(100, 4)) + 25 * labels[:, None]  # class 1 misses its place
        table = features_to_class_coverage(real, labels, synthetic, labels, ("zero", "one", "never"))
        assert table["class"].tolist() == ["zero", "one", "never"]
        assert table["coverage"][0] > 0.8
        assert table["coverage"][1] == 0
        assert table.loc[2, ["precision", "recall", "density", "coverage"]].isna().all()


class TestAgreement:
    def test_by_hand(self) -> None:
        table = labels_to_agreement(np.array([0, 0, 0, 0, 2]), np.array([0, 0, 0, 1, 1]), ("a", "b", "c"))
        expected = pd.DataFrame({"class": ["a", "b", "c"], "synthetic": [4, 0, 1], "agreement": [75.0, np.nan, 0.0]})
        pd.testing.assert_frame_equal(table, expected)

    def test_matches_sklearns_recall(self, rng: np.random.Generator) -> None:
        labels, predictions = rng.integers(0, 4, (2, 300))
        table = labels_to_agreement(labels, predictions, ("a", "b", "c", "d"))
        np.testing.assert_allclose(table["agreement"], 100 * recall_score(labels, predictions, average=None))

    def test_lengths_differ(self) -> None:
        with pytest.raises(InputError, match="3 synthetic labels but 2 predictions"):
            labels_to_agreement(np.array([0, 0, 0]), np.array([0, 0]), ("a",))


def moved(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Each image rotated, scaled and shifted a little, as a generator trained on augmented images would return it."""
    out = np.empty_like(images)
    for source, target in zip(images[:, 0], out[:, 0], strict=True):
        angle, scale = np.deg2rad(rng.uniform(-10, 10)), rng.uniform(0.9, 1.1)
        matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = np.array([13.5, 13.5]) - matrix @ (np.array([13.5, 13.5]) + rng.uniform(-2, 2, 2))
        target[:] = ndimage.affine_transform(source, matrix, offset, order=1)
    return out


class TestMemorisation:
    def test_numbers_by_hand(self) -> None:
        numbers = distances_to_numbers(
            Distances(
                to_subset=np.array([0.1, 0.2, 0.3, 0.4]),
                to_unused=np.array([0.2, 0.2, 0.1, 0.8]),
                unused_to_subset=np.full(10, 0.15),
                nearest_real=np.zeros(4, dtype=np.intp),
                nearest_unused=np.zeros(4, dtype=np.intp),
            )
        )
        assert numbers == pytest.approx(
            {
                "closer_to_subset": (1 + 0.5 + 0 + 1) / 4,
                "distance_ratio": (0.5 + 1) / 2,  # median of 0.5, 1, 3, 0.5
                "near_distance": 0.15,
                "near_copies": 1,
                "near_unused": 1,
            },
            rel=1e-4,
        )

    def test_distances_match_scipys(self, rng: np.random.Generator) -> None:
        sets = [rng.random((count, 1, 5, 6), dtype=np.float32) for count in (40, 15, 15)]
        ours, (synthetic, subset, unused) = images_to_distances(*sets), (part.reshape(len(part), 30) for part in sets)
        to_subset, to_unused = (cdist(synthetic, part) / np.sqrt(30) for part in (subset, unused))
        np.testing.assert_allclose(ours.to_subset, to_subset.min(axis=1), rtol=1e-4)
        np.testing.assert_allclose(ours.to_unused, to_unused.min(axis=1), rtol=1e-4)
        np.testing.assert_array_equal(ours.nearest_real, to_subset.argmin(axis=1))
        np.testing.assert_array_equal(ours.nearest_unused, to_unused.argmin(axis=1))
        expected = (cdist(unused, subset) / np.sqrt(30)).min(axis=1)
        np.testing.assert_allclose(ours.unused_to_subset, expected, rtol=1e-4)

    def test_distances_are_root_mean_squares(self) -> None:
        black, white = np.zeros((1, 1, 4, 4), np.uint8), np.full((1, 1, 4, 4), 255, np.uint8)
        half = white.copy()
        half[:, :, :2] = 0
        numbers = images_to_memorisation(half, black, white).numbers["pixel"]
        assert numbers["near_distance"] == pytest.approx(1)  # every pixel of white is 1 away from black
        assert numbers["closer_to_subset"] == 0.5  # half the pixels are 1 away, from either

    def test_fresh_digits_are_not_memorised(self, digits: Pixels) -> None:
        result = images_to_memorisation(digits[800:], digits[:400], digits[400:800])
        for view in ("pixel", "pose"):
            numbers = result.numbers[view]
            assert 0.43 < numbers["closer_to_subset"] < 0.57
            assert 0.97 < numbers["distance_ratio"] < 1.03
            assert abs(numbers["near_copies"] - numbers["near_unused"]) < 0.03 * 700
        assert result.numbers["exact"]["copies"] == 0

    def test_planted_copies_are_found(self, digits: Pixels) -> None:
        synthetic = digits[800:900].copy()
        synthetic[[7, 70]] = digits[[123, 321]]
        result = images_to_memorisation(synthetic, digits[:400], digits[400:800], suspects=5)
        assert result.numbers["exact"]["copies"] == 2
        found = result.suspects[:2].sort_values("synthetic")
        assert found["synthetic"].tolist() == [7, 70]
        assert found["real"].tolist() == [123, 321]
        assert found["distance"].max() < 1e-3
        assert len(result.suspects) == 5
        posed, unused = (images_to_pose(part).reshape(len(part), -1) for part in (synthetic, digits[400:800]))
        nearest = cdist(posed, unused).argmin(axis=1)
        assert result.suspects["unused"].tolist() == nearest[result.suspects["synthetic"]].tolist()
        assert result.suspects["ratio"].is_monotonic_increasing

    def test_a_shifted_copy_is_found(self, digits: Pixels) -> None:
        synthetic = digits[800:900].copy()
        synthetic[7] = np.roll(digits[123], (-2, 2), axis=(1, 2))
        result = images_to_memorisation(synthetic, digits[:400], digits[400:800])
        assert result.numbers["exact"]["copies"] == 0
        assert tuple(result.suspects.loc[0, ["synthetic", "real"]].astype(int)) == (7, 123)
        assert result.suspects["distance"][0] < 1e-3

    def test_copies_of_images_left_out_of_the_fair_draw_are_found(self, digits: Pixels) -> None:
        synthetic = digits[800:900].copy()
        synthetic[7], synthetic[70] = digits[410], np.roll(digits[590], (-2, 2), axis=(1, 2))
        fair = images_to_memorisation(synthetic, digits[:400], digits[900:1300])
        whole = images_to_memorisation(synthetic, digits[:400], digits[900:1300], further=(digits[400:600], digits[:0]))
        assert (fair.numbers["exact"]["copies"], whole.numbers["exact"]["copies"]) == (0, 1)
        assert set(zip(whole.suspects["synthetic"][:2], whole.suspects["real"][:2], strict=True)) == {
            (7, 410),
            (70, 590),
        }
        assert whole.suspects["distance"][:2].max() < 1e-3
        assert {view: whole.numbers[view] for view in ("pixel", "pose")} == {
            view: fair.numbers[view] for view in ("pixel", "pose")
        }
        posed, unused = (images_to_pose(part).reshape(len(part), -1) for part in (synthetic, digits[900:1500]))
        nearest = cdist(posed, unused).argmin(axis=1)
        both = images_to_memorisation(
            synthetic, digits[:400], digits[900:1300], further=(digits[400:600], digits[1300:1500])
        )
        assert both.suspects["unused"].tolist() == nearest[both.suspects["synthetic"]].tolist()

    def test_moved_copies_show_in_the_common_pose(self, digits: Pixels, rng: np.random.Generator) -> None:
        copies = moved(digits[:200], rng)
        numbers = images_to_memorisation(copies, digits[:400], digits[400:800]).numbers
        assert numbers["pose"]["closer_to_subset"] > 0.95
        assert numbers["pose"]["closer_to_subset"] > numbers["pixel"]["closer_to_subset"] + 0.15
        assert numbers["pose"]["near_copies"] > 10 * numbers["pose"]["near_unused"]

    def test_moved_fresh_digits_are_not_memorised(self, digits: Pixels, rng: np.random.Generator) -> None:
        fresh = moved(digits[800:1300], rng)
        numbers = images_to_memorisation(fresh, digits[:400], digits[400:800]).numbers["pose"]
        assert 0.43 < numbers["closer_to_subset"] < 0.57

    def test_refusals(self, digits: Pixels) -> None:
        with pytest.raises(InputError, match="10 and 20"):
            images_to_memorisation(digits[:5], digits[10:20], digits[20:40])
        with pytest.raises(InputError, match="1 of the unused images"):
            images_to_memorisation(digits[:5], digits[10:20], digits[19:29])
        with pytest.raises(InputError, match="4 of the unused images"):
            images_to_memorisation(digits[:5], digits[10:20], digits[20:30], further=(digits[27:30], digits[15:16]))
        with pytest.raises(InputError, match="0 synthetic"):
            images_to_memorisation(digits[:0], digits[10:20], digits[20:30])


class TestCopying:
    """C_T of Meehan et al. 2020."""

    def test_one_cell_by_hand(self) -> None:
        # To the nearest of 0 and 10: synthetic 1 and 2, unused 1.5, 3 and 4. Of six pairs one is larger: U = 1.
        synthetic, training, unused = (np.array(part)[:, None] for part in ([1.0, 8.0], [0.0, 10.0], [1.5, 7.0, 4.0]))
        one = tuple(np.zeros(len(part), int) for part in (synthetic, training, unused))
        expected = (1 - 3 + 0.5) / np.sqrt(2 * 3 * 6 / 12)
        assert images_to_copying((synthetic, training, unused), one) == pytest.approx(expected)

    def test_cells_by_hand(self) -> None:
        synthetic = np.array([1.0, 8.0, 100.0])[:, None]
        training, unused = np.array([0.0, 10.0, 99.0])[:, None], np.array([1.5, 7.0, 4.0, 99.5, 50.0])[:, None]
        cells = (np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([0, 0, 0, 1, 2]))  # cell 2 has an unused image only
        first = (1 - 3 + 0.5) / np.sqrt(2 * 3 * 6 / 12)
        second = (1 - 0.5 + 0.5) / np.sqrt(1 * 1 * 3 / 12)  # 1 away against 0.5
        c_t = images_to_copying((synthetic, training, unused), cells)
        assert c_t == pytest.approx((3 * first + 1 * second) / 4)
        assert np.isnan(images_to_copying((synthetic, training, unused), (cells[0] + 7, cells[1], cells[2])))

    def test_follows_the_papers_definition(self, rng: np.random.Generator) -> None:
        sets = synthetic, training, unused = [rng.normal(size=(count, 3)) for count in (200, 40, 60)]
        cells = of_synthetic, of_training, of_unused = [rng.integers(0, 4, len(part)) for part in sets]
        total = 0.0
        for cell in range(4):
            reference = training[of_training == cell]
            q, p = (
                cdist(part[of == cell], reference).min(axis=1)
                for part, of in ((synthetic, of_synthetic), (unused, of_unused))
            )
            u = stats.mannwhitneyu(q, p, alternative="less").statistic
            z = (u - (len(q) * len(p) / 2 - 0.5)) / np.sqrt(len(q) * len(p) * (len(q) + len(p) + 1) / 12)
            total += z * len(p) / len(unused)
        assert images_to_copying(tuple(sets), tuple(cells)) == pytest.approx(total, rel=1e-9)

    @pytest.mark.parametrize(("n", "m", "shift"), [(30, 50, 0.0), (200, 20, -0.5), (40, 40, 0.7)])
    def test_z_gives_scipys_p(self, rng: np.random.Generator, n: int, m: int, shift: float) -> None:
        a, b = rng.normal(shift, 1, n), rng.normal(size=m)
        expected = stats.mannwhitneyu(a, b, alternative="less", method="asymptotic", use_continuity=True).pvalue
        assert stats.norm.cdf(distances_to_z(a, b)) == pytest.approx(expected, rel=1e-9)

    def test_ties_count_half(self) -> None:
        a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0])  # 2 and 3 exceed 1, 1 equals it, 4 exceeds all
        assert stats.mannwhitneyu(a, b).statistic == 2.5
        assert distances_to_z(a, b) == pytest.approx((2.5 - 3 + 0.5) / np.sqrt(3))

    def test_fresh_images_are_normal_around_zero(self, rng: np.random.Generator) -> None:
        cells = tuple(np.arange(count) % 4 for count in (400, 80, 80))
        values = [
            images_to_copying(tuple(rng.normal(size=(len(of), 5)) for of in cells), cells)  # type: ignore[arg-type]
            for _ in range(200)
        ]
        assert abs(np.mean(values)) < 0.15
        assert np.std(values) == pytest.approx(0.5, abs=0.1)  # 1 / sqrt(4 cells)

    def test_moved_copies_show_in_the_common_pose_beside_the_control(
        self, digits: Pixels, rng: np.random.Generator
    ) -> None:
        digits = rng.permutation(digits)  # MNIST's own order is no chance one: writers come in runs
        fresh = images_to_memorisation(digits[800:], digits[:400], digits[400:800]).numbers
        copies = digits[800:].copy()
        copies[:140] = moved(digits[:140], rng)  # one in five
        copied = images_to_memorisation(copies, digits[:400], digits[400:800]).numbers
        for view in ("pixel", "pose"):
            assert abs(fresh[view]["c_t"]) < 3
            assert min(fresh[view]["c_t_unused"], copied[view]["c_t_unused"]) > -3
        assert copied["pose"]["c_t"] < fresh["pose"]["c_t"] - 4
        assert copied["pose"]["c_t"] < -4 < copied["pose"]["c_t_unused"]


class TestPose:
    def test_a_shift_vanishes(self, digits: Pixels) -> None:
        shifted = np.roll(digits[:50], (-2, 1), axis=(2, 3))
        np.testing.assert_allclose(images_to_pose(shifted), images_to_pose(digits[:50]), atol=1e-4)

    def test_blank_and_inverted_images(self, digits: Pixels) -> None:
        blank = np.full((1, 3, 8, 9), 77, np.uint8)
        np.testing.assert_allclose(images_to_pose(blank), blank / 255, atol=1e-6)
        # Dark ink on white paper is posed as the same ink in white on black.
        np.testing.assert_allclose(images_to_pose(255 - digits[:20]), 1 - images_to_pose(digits[:20]), atol=1e-5)

    def test_faint_noise_hardly_moves_a_digit(self, digits: Pixels, rng: np.random.Generator) -> None:
        noisy = np.maximum(digits[:50], rng.integers(0, 8, digits[:50].shape).astype(np.uint8))
        gap = np.sqrt(((images_to_pose(noisy) - images_to_pose(digits[:50])) ** 2).mean())
        assert gap < 0.03


class TestSpread:
    def test_by_hand(self) -> None:
        pixels = np.zeros((5, 1, 1, 2), np.uint8)
        pixels[1, 0, 0] = [255, 0]  # class 0: pixel one is -1 and 1 (variance 2), pixel two does not vary
        spread = images_to_spread(pixels, np.array([0, 0, 1, 1, 2]), classes=4)
        np.testing.assert_allclose(spread.per_class, [1, 0, np.nan, np.nan])
        assert spread.mean == pytest.approx(0.5)

    def test_no_class_has_a_spread(self) -> None:
        assert np.isnan(images_to_spread(np.zeros((0, 1, 2, 2), np.uint8), np.zeros(0, np.int64), classes=2).mean)

    def test_does_not_depend_on_how_many(self, digits: Pixels) -> None:
        def one_class(images: Pixels) -> float:
            return images_to_spread(images, np.zeros(len(images), np.int64), classes=1).mean

        in_tens = np.mean([one_class(digits[i : i + 10]) for i in range(0, 1500, 10)])
        assert in_tens == pytest.approx(one_class(digits), rel=0.01)

    def test_collapsed_classes(self) -> None:
        real = Spread(np.array([0.4, 0.2, 0.3, 0.3, np.nan]))
        synthetic = Spread(np.array([0.09, 0.06, 0.0, np.nan, 0.07]))
        assert collapsed(synthetic, real) == [0, 2, 3, 4]  # 4: no real spread of its own, 0.07 < a quarter of 0.3
        assert collapsed(real, real) == [4]
        assert collapsed(synthetic, real, below=0.2) == [2, 3]

    def test_lengths_differ(self) -> None:
        with pytest.raises(InputError, match="2 images but 3 labels"):
            images_to_spread(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(3, np.int64), classes=1)
