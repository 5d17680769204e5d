"""The signs of copying in words, and the pairs to look at."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rendered import section

from pipeline import images
from pipeline.report.copying import copying
from pipeline.report.study import load_study


@pytest.mark.parametrize(
    ("share", "answer"),
    [
        (0.51, "No clear sign"),
        (0.54, "A slight lean"),
        (0.6, "A clear lean"),
        (0.9, "A strong lean"),
        (np.nan, "Not measured"),
    ],
)
def test_copying_in_words(study: tuple[Path, dict[str, Any]], share: float, answer: str) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    said, sentences = copying(replace(budget, quality=budget.quality.assign(pose_closer_to_subset=share)))
    assert said.startswith(answer)
    assert ("were copies" in sentences[0]) == ("lean" in answer)
    assert sentences[-1] == "0 of 20,000 synthetic images equal a training image exactly."


def test_a_lean_is_called_by_the_noise_of_so_few_real_images(study: tuple[Path, dict[str, Any]]) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    lean = budget.quality.assign(pose_closer_to_subset=0.53)
    few = replace(budget, quality=lean)  # four GANs: 0.036 is two standard errors with 50 real images, 0.013 with 500
    assert copying(few)[0].startswith("No clear sign")
    assert copying(replace(few, size=50))[0].startswith("A slight lean")
    rare = {**budget.split, "per_class": {"0": 5, "1": 50}}  # five of each class are compared
    assert copying(replace(few, size=50, split=rare))[0].startswith("No clear sign")


@pytest.mark.parametrize(
    ("c_t", "control", "reading"),
    [
        (-2.0, -1.9, "The difference, -0.1, is no more than chance gives (±0.4)."),  # 2 sqrt(2 / 10 classes / 4 GANs)
        (2.0, 3.0, "The difference, -1.0, is a lean towards the training images, more than chance gives (±0.4)."),
        (0.5, -0.5, "The difference, +1.0, is no copying, but more than chance gives (±0.4)."),
        (np.nan, 0.1, "was not measured."),
    ],
)
def test_data_copying_is_read_beside_its_control(
    study: tuple[Path, dict[str, Any]], c_t: float, control: float, reading: str
) -> None:
    budget = load_study(study[0], [5], study[1]).budgets[0]
    quality = budget.quality.assign(pose_c_t=c_t, pose_c_t_unused=control)
    _, sentences = copying(replace(budget, quality=quality))
    (said,) = [sentence for sentence in sentences if sentence.startswith("C_T (Meehan et al. 2020)")]
    assert said.endswith(reading)


def test_suspects_stand_beside_a_training_and_an_unseen_image(study: tuple[Path, dict[str, Any]], html: str) -> None:
    shown = section(html, "copies")
    assert shown.count("<figcaption>trained 0.030, unseen 0.060</figcaption>") == 1
    source = re.findall(r'<img src="data:image/png;base64,([^"]*)"', shown)[0]
    arrays = images.load_arrays(study[0] / "artifacts/quality/5/suspects.npz")
    with Image.open(io.BytesIO(base64.b64decode(source))) as image:
        pixels = np.asarray(image.convert("L"))[::2, ::2]
    for place, name in enumerate(("synthetic", "real", "unused")):
        assert np.array_equal(pixels[:, place * 29 : place * 29 + 28], arrays[name][0, 0])
