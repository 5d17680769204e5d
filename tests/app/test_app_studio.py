"""From a request to images, readings and real ones beside them, without any page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.shelf import Shelf
from app.studio import LIMIT, SHOWN, Request, answer, everything, text_example, text_hint, text_to_labels, write
from pipeline.errors import InputError
from pipeline.gan.sampling import class_balanced, load_generator
from pipeline.images import load, load_arrays
from pipeline.pixels import to_tensors
from pipeline.quality.replicate import load_oracle

TEN = tuple("0123456789")
ASKED = Request(budget=10, replicate=0, labels=tuple(range(10)), each=3, seed=5, spread=1.0)


@pytest.fixture
def shelf(digit_study: Path) -> Shelf:
    return Shelf(digit_study)


@pytest.fixture
def own(digit_study: Path, tmp_path: Path) -> Shelf:
    """A copy that a test may damage."""
    return Shelf(Path(shutil.copytree(digit_study, tmp_path / "artifacts")))


def test_an_image_is_the_same_however_many_are_asked_for(shelf: Shelf) -> None:
    few = answer(shelf, ASKED).images
    many = everything(shelf, replace(ASKED, each=300))
    seven = everything(shelf, replace(ASKED, labels=(7,), each=40))
    assert len(few) == 30 and len(many) == 3000
    for label in range(10):
        assert np.array_equal(few.pixels[few.labels == label], many.pixels[many.labels == label][:3])
    assert np.array_equal(seven.pixels, many.pixels[many.labels == 7][:40])


def test_it_is_what_the_pipeline_generates_from_that_seed(shelf: Shelf) -> None:
    trained = load_generator(shelf.artifacts / "gan" / "10", 0)
    expected = class_balanced(trained.generator, trained.classes, 3, 5)
    images = everything(shelf, ASKED)
    assert np.array_equal(images.pixels, expected.pixels)
    assert np.array_equal(images.labels, expected.labels) and images.classes == expected.classes


def test_seed_replicate_and_spread_matter(shelf: Shelf) -> None:
    first = everything(shelf, ASKED).pixels
    for other in (replace(ASKED, seed=6), replace(ASKED, replicate=1), replace(ASKED, spread=0.5)):
        assert not np.array_equal(first, everything(shelf, other).pixels)
    still = everything(shelf, replace(ASKED, spread=0.0)).pixels.reshape(10, 3, -1)
    assert (still == still[:, :1]).all(), "without noise, a class has one image"


def test_the_oracle_reads_each_image(shelf: Shelf) -> None:
    shown = answer(shelf, ASKED)
    assert shown.reading is not None and shown.notes == ()
    oracle = load_oracle(shelf.artifacts / "oracle")
    for place in range(len(shown.images)):
        pixels, _ = to_tensors(shown.images.subset(np.array([place])), next(oracle.parameters()).device)
        likely = oracle(pixels).detach().softmax(1)[0]
        assert shown.reading.labels[place] == int(likely.argmax())
        assert shown.reading.sure[place] == pytest.approx(float(likely.max()), abs=1e-4)


def test_the_real_images_are_those_the_generator_learnt_from(shelf: Shelf) -> None:
    train = load(shelf.artifacts / "data" / "train.npz")
    subsets = load_arrays(shelf.artifacts / "splits" / "10.npz")["subsets"]
    for replicate in range(2):
        real = answer(shelf, replace(ASKED, replicate=replicate, labels=(2, 5), each=50)).real
        assert real is not None
        assert real.labels.tolist() == [2] * 10 + [5] * 10, "all there are"
        chosen = train.subset(subsets[replicate])
        assert np.array_equal(real.pixels[:10], chosen.pixels[chosen.labels == 2])


def test_a_page_shows_500_and_a_download_holds_all(shelf: Shelf) -> None:
    request = replace(ASKED, each=200)
    assert len(answer(shelf, request).images) == SHOWN
    assert len(everything(shelf, request)) == 2000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"each": 1_000_000},
            f"1,000,000 of 10 classes would be 10,000,000 images; at most {LIMIT:,} are made at once",
        ),
        ({"each": 10_001, "labels": (3,)}, "10,001 of 1 class would be 10,001 images"),
        ({"each": 0}, "How many of each: a whole number from 1 on, not 0"),
        ({"each": -5}, "not -5"),
        ({"seed": -1}, "Seed: a whole number from 0 to 4,294,967,295, not -1"),
        ({"seed": 2**32}, "Seed: a whole number"),
        ({"spread": float("nan")}, "Spread: a number from 0 to 3, not nan"),
        ({"spread": 1e9}, "Spread: a number from 0 to 3"),
        ({"labels": ()}, "Tick at least one class"),
    ],
)
def test_what_is_absurd_is_refused_before_anything_is_made(change: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        replace(ASKED, **change)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_ten_thousand_are_not_too_many() -> None:
    assert len(replace(ASKED, each=1000)) == LIMIT


def test_a_class_that_there_is_not_is_refused(shelf: Shelf) -> None:
    with pytest.raises(InputError, match="Class number 10: this generator has 10 classes"):
        answer(shelf, replace(ASKED, labels=(3, 10)))


class TestWriting:
    def test_the_second_2_is_the_second_of_its_row(self, shelf: Shelf) -> None:
        written = write(shelf, ASKED, "2026")
        grid = answer(shelf, ASKED).images
        assert written.images.labels.tolist() == [2, 0, 2, 6]
        for place, (label, number) in enumerate([(2, 0), (0, 0), (2, 1), (6, 0)]):
            assert np.array_equal(written.images.pixels[place], grid.pixels[grid.labels == label][number])
        assert written.reading is not None and len(written.reading.labels) == 4

    @pytest.mark.parametrize(
        ("text", "classes", "labels"),
        [
            ("2026", TEN, [2, 0, 2, 6]),
            (" 20 26 ", TEN, [2, 0, 2, 6]),
            ("cat dog cat", ("cat", "dog"), [0, 1, 0]),
            ("Cat, DOG", ("cat", "dog"), [0, 1]),
            ("hot  dog, cat", ("cat", "hot dog"), [1, 0]),
            ("aBb", ("a", "B", "b"), [0, 1, 2]),
            ("10 2", tuple(map(str, range(12))), [10, 2]),
        ],
    )
    def test_symbols_are_characters_or_names(self, text: str, classes: tuple[str, ...], labels: list[int]) -> None:
        assert text_to_labels(text, classes) == labels

    @pytest.mark.parametrize(
        ("text", "classes", "message"),
        [
            ("20x6", TEN, "“x” is none of the classes 0, 1, 2"),
            ("-1", TEN, "“-” is none of the classes"),
            ("", TEN, "Type a number, such as 2026."),
            ("cow", ("cat", "dog"), "“cow” is none of the classes cat, dog."),
            (" ", ("cat", "dog"), "Type class names, such as cat dog."),
            (",", ("cat", "hot dog"), "Type class names, such as cat, hot dog."),
            ("1" * 101, TEN, "101 symbols are too many to write; at most 100"),
            ("A", ("a", "b", "B"), "“A” is none of the classes"),
        ],
    )
    def test_what_no_class_stands_for_is_named(self, text: str, classes: tuple[str, ...], message: str) -> None:
        with pytest.raises(InputError) as refused:
            text_to_labels(text, classes)
        assert message in str(refused.value)

    def test_the_example_can_be_written(self) -> None:
        for classes in (TEN, ("cat", "dog"), ("cat", "hot dog"), tuple("abc"), ("1", "2"), tuple(map(str, range(12)))):
            assert text_to_labels(text_example(classes), classes)
            assert text_hint(classes).endswith(text_example(classes))


class TestDamage:
    """One line that names the file; whatever is sound still works."""

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"{}", b'{"recipe": "x", "shape": [1, 28], "classes": [], "replicates": 2}', b"\xff\xfe"],
    )
    def test_a_damaged_config_is_complained_of_and_other_budgets_stay(self, own: Shelf, content: bytes) -> None:
        shutil.copytree(own.artifacts / "gan" / "10", own.artifacts / "gan" / "20")
        (own.artifacts / "gan" / "10" / "config.json").write_bytes(content)
        entries, complaints = own.entries()
        assert [entry.budget for entry in entries] == [20]
        assert len(complaints) == 1 and "gan/10/config.json: damaged (" in complaints[0] and "\n" not in complaints[0]
        with pytest.raises(InputError, match=r"config\.json: damaged"):
            answer(own, ASKED)

    def test_networks_that_are_none_end_in_one_line(self, own: Shelf) -> None:
        config = own.artifacts / "gan" / "10" / "config.json"
        config.write_text(config.read_text().replace('"networks"', '"nets"'))
        with pytest.raises(InputError, match=r"^[^\n]*config\.json: [^\n]*$"):
            answer(own, ASKED)

    @pytest.mark.parametrize("how", ["missing", "empty", "cut", "noise"])
    def test_a_damaged_generator_leaves_the_other_replicates(self, own: Shelf, how: str) -> None:
        weights = own.artifacts / "gan" / "10" / "generator-0.safetensors"
        content = weights.read_bytes()
        weights.unlink()
        if how != "missing":
            weights.write_bytes({"empty": b"", "cut": content[:5000], "noise": bytes(range(256)) * 40}[how])
        with pytest.raises(InputError, match=r"^[^\n]*generator-0\.safetensors: [^\n]*$"):
            answer(own, ASKED)
        assert len(answer(own, replace(ASKED, replicate=1)).images) == 30

    def test_no_oracle_is_a_note(self, own: Shelf) -> None:
        whole = answer(own, ASKED)
        (own.artifacts / "oracle" / "weights.safetensors").write_bytes(b"no")
        without = answer(own, ASKED)
        assert without.reading is None and "weights.safetensors: damaged" in without.notes[0]
        assert np.array_equal(without.images.pixels, whole.images.pixels)
        assert write(own, ASKED, "2026").reading is None
        shutil.rmtree(own.artifacts / "oracle")
        assert "oracle/config.json: no such file" in answer(own, ASKED).notes[0]

    @pytest.mark.parametrize("name", ["data/train.npz", "splits/10.npz"])
    def test_no_real_images_is_a_note(self, own: Shelf, name: str) -> None:
        (own.artifacts / name).write_bytes(b"no")
        without = answer(own, ASKED)
        assert without.real is None and len(without.images) == 30
        assert f"{name}: damaged" in without.notes[0] and "\n" not in without.notes[0]

    def test_what_was_made_from_other_data_is_not_shown_beside(self, digit_study: Path, pet_study: Path) -> None:
        shelf = Shelf(pet_study.parent / "mixed")
        if not shelf.artifacts.exists():
            shutil.copytree(pet_study, shelf.artifacts)
            for name in ("data", "oracle"):
                shutil.rmtree(shelf.artifacts / name)
                shutil.copytree(digit_study / name, shelf.artifacts / name)
        mixed = answer(shelf, Request(6, 0, (0, 1), 2, 1, 1.0))
        assert mixed.reading is None and mixed.real is None
        assert "trained on other data" in mixed.notes[0] and "other data than" in mixed.notes[1]

    def test_a_generator_trained_anew_is_seen(self, own: Shelf) -> None:
        before = everything(own, ASKED).pixels
        folder = own.artifacts / "gan" / "10"
        (folder / "generator-0.safetensors").write_bytes((folder / "generator-1.safetensors").read_bytes())
        after = everything(own, ASKED).pixels
        assert not np.array_equal(after, before)
        assert np.array_equal(after, everything(own, replace(ASKED, replicate=1)).pixels)

    def test_nothing_is_unpickled(self, own: Shelf, tmp_path: Path) -> None:
        import pickle

        class Trap:
            def __reduce__(self) -> tuple:
                return (Path.touch, (tmp_path / "sprung",))

        trap = pickle.dumps(Trap())
        pickle.loads(trap)
        (tmp_path / "sprung").unlink()  # it would go off
        for name in (
            "gan/10/config.json",
            "gan/10/generator-0.safetensors",
            "oracle/config.json",
            "oracle/weights.safetensors",
            "data/train.npz",
            "splits/10.npz",
        ):
            path = own.artifacts / name
            sound = path.read_bytes()
            path.write_bytes(trap)
            own.entries()
            try:
                answer(own, ASKED)
            except InputError as error:
                assert name in str(error)
            path.write_bytes(sound)
        np.savez(own.artifacts / "data" / "train.npz", pixels=np.array([Trap()]), labels=np.array([Trap()]))
        assert answer(own, ASKED).real is None
        assert not (tmp_path / "sprung").exists()


def test_coloured_classes_with_names_go_the_same_way(pet_study: Path) -> None:
    shelf = Shelf(pet_study)
    shown = answer(shelf, Request(6, 1, (0, 1), 4, 1, 1.0))
    assert shown.images.shape == (3, 64, 64) and shown.images.classes == ("cat", "hot dog")
    assert shown.reading is not None and shown.real is not None and shown.notes == ()
    assert write(shelf, shown.request, "hot dog, cat").images.labels.tolist() == [1, 0]
