"""What is held against what, and which reference is fair to an arm that knows unlabelled images."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contrasts import Contrast, arms_that_know, arms_to_fair, arms_to_reals, budgets_to_contrasts, contrasts
from pipeline.errors import InputError

ARMS = ("real", "real+classical", "real+gan", "real+gan+classical", "gan", "real+copies", "real+interpolated")


def test_contrasts_of_the_seven_arms() -> None:
    pairs = contrasts(ARMS)
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 6 + 5 + 2
    assert pairs[0] == ("real+classical", "real")
    assert pairs[-2:] == [("real+gan", "real+copies"), ("real+gan", "real+interpolated")]
    assert contrasts(["real", "mine"]) == [("mine", "real")]


def made_of(name: str, pseudo: bool = False, blur: float = 1) -> dict[str, Any]:
    """An arm, as arms.json has it, by a name that says what it is made of."""
    parts = name.split("+")
    synthetic = next((kind for kind in ("gan", "copies", "interpolated") if kind in parts), None)
    made = {"synthetic": synthetic, "classical": "classical" in parts, "pseudo": pseudo, "batches": "balanced"}
    return made | {"augmentation": {"blur": blur} if made["classical"] or synthetic == "copies" else None}


PSEUDO = ("real+pseudo", "real+pseudo+classical", "real+pseudo+gan", "real+pseudo+gan+classical")
FAIR = {
    "real+gan": "real+pseudo",
    "real+pseudo+gan": "real+pseudo",
    "gan": "real+pseudo",
    "real+gan+classical": "real+pseudo+classical",
    "real+pseudo+gan+classical": "real+pseudo+classical",
}


def test_what_knows_unlabelled_images_is_held_against_pseudo_labels_too() -> None:
    made = {name: made_of(name) for name in ARMS} | {name: made_of(name, pseudo=True) for name in PSEUDO}
    informed = {"real+gan", "real+gan+classical", "gan", *PSEUDO}
    assert set(arms_that_know(made, 200)) == informed
    assert arms_to_fair(made, 200) == FAIR
    assert arms_that_know(made, 0) == [] and arms_to_fair(made, 0) == {}
    assert arms_to_fair({name: made_of(name) for name in ARMS}, 200) == {}  # nothing to hold it against
    of = {name: name.replace("pseudo+", "").replace("+pseudo", "") for name in PSEUDO}
    plain, both = (contrasts(list(made), of, fair, arms_to_reals(made)) for fair in ({}, FAIR))
    assert both == plain + list(FAIR.items()) and len(set(both)) == len(both)
    assert contrasts(ARMS, {}, {}) == contrasts(ARMS)


def test_what_needs_no_gan_is_held_against_the_gan_where_both_are_distorted() -> None:
    of = {"soft": "real+interpolated", "few": "real+interpolated", "mine": "real+gan"}
    reals = dict.fromkeys(["soft", "mine", "real+gan+classical", "real+classical"], "real+classical") | {"few": "real"}
    pairs = contrasts([*ARMS, *of], of, reals=reals)
    added = [("real+gan+classical", "soft"), *of.items()]
    added += [("soft", "real+classical"), ("few", "real"), ("mine", "real+classical")]
    assert pairs == contrasts(ARMS) + added


def test_what_is_distorted_is_held_against_real_images_distorted_as_far() -> None:
    made = {name: made_of(name) for name in ARMS}
    assert arms_to_reals(made) == {name: "real+classical" if "classical" in name else "real" for name in ARMS}
    sharp = {"real+sharp": "real+classical", "gan+sharp": "real+gan+classical", "copies+sharp": "real+copies"}
    made |= {name: made_of(base, blur=0) for name, base in sharp.items()}
    reals = arms_to_reals(made)
    assert [reals[name] for name in sharp] == ["real+sharp", "real+sharp", "real"]  # the batches of copies are not
    assert reals["real+gan+classical"] == "real+classical"
    added = [pair for pair in contrasts(list(made), sharp, reals=reals) if pair not in contrasts(ARMS)]
    assert added == [*sharp.items(), ("gan+sharp", "real+sharp"), ("copies+sharp", "real")]
    # The same of what knows unlabelled images.
    made |= {"pseudo": made_of("real+classical", True), "pseudo+sharp": made_of("real+classical", True, blur=0)}
    fair = arms_to_fair(made, 200)
    assert (fair["real+gan+classical"], fair["gan+sharp"]) == ("pseudo", "pseudo+sharp") and "real+gan" not in fair
    # What needs no GAN is held against the GAN's arm that is distorted as far, the first of these.
    made["soft+sharp"] = made_of("real+interpolated+classical", blur=0)
    of = sharp | {"soft+sharp": "real+interpolated"}
    pairs = contrasts(list(made), of, reals=arms_to_reals(made))
    assert [pair for pair in pairs if pair[1] == "soft+sharp"] == [("gan+sharp", "soft+sharp")]
    assert ("soft+sharp", "real+sharp") in pairs
    # Where no real images are distorted as far, against none: it would differ from them in two things.
    del made["real+sharp"], of["real+sharp"]
    reals = arms_to_reals(made)
    assert "gan+sharp" not in reals and reals["copies+sharp"] == "real"
    pairs = contrasts(list(made), of, reals=reals)
    assert [pair for pair in pairs if "gan+sharp" in pair] == [("gan+sharp", "real+gan+classical")]


def test_the_rows_of_a_study_are_those_of_each_budget_and_the_primary_one() -> None:
    by_budget = {50: ARMS, 10: ("real", "gan")}
    usual = [Contrast(50, *pair) for pair in contrasts(ARMS)]
    assert budgets_to_contrasts(by_budget, Contrast(50, "gan", "real")) == [Contrast(10, "gan", "real"), *usual]
    unusual, mirrored = Contrast(50, "gan", "real+gan"), Contrast(50, "real", "gan")
    assert budgets_to_contrasts(by_budget, unusual)[1:] == [unusual, *usual]
    others = [contrast for contrast in usual if contrast != Contrast(50, "gan", "real")]
    assert budgets_to_contrasts(by_budget, mirrored)[1:] == [mirrored, *others]
    with pytest.raises(InputError, match=r"compare\.primary: the study has no arm real\+gan at budget 10"):
        budgets_to_contrasts(by_budget, Contrast(10, "real+gan", "real"))
