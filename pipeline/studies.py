"""Named studies: `python -m pipeline.studies full` merges conf/full.yaml into params.yaml and keeps its comments."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.tokens import CommentToken

from pipeline.errors import InputError
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

STUDIES = Path("conf")


def merge_study(name: str, params: Path = PARAMS, studies: Path = STUDIES) -> None:
    """Overwrite the keys of `params` that the study names; every other key and every comment stays.

    Raises InputError, and leaves `params` as it was, if there is no such study or the result would not be valid.
    """
    known = sorted(path.stem for path in studies.glob("*.yaml"))
    if name not in known:
        raise InputError(f"unknown study {name!r}; known studies: {', '.join(known) or 'none'}")
    merge(read_params(studies / f"{name}.yaml"), f"study {name}", params)


def merge(changes: Mapping[str, Any], source: str, params: Path = PARAMS) -> None:
    """Overwrite the keys of `params` that `changes` names; every other key and every comment stays.

    source: where the changes come from. Raises InputError, and leaves `params` as it was, if the result would not be
    valid.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.representer.add_representer(type(None), _null)
    read_params(params)  # says in one line what is wrong with the file
    values = yaml.load(params)
    _merge(values, changes, source)
    try:
        to_params(values)
    except InputError as error:
        raise InputError(f"{error}; `make study NAME=quick` first, if another study was merged before") from None
    part = params.with_name(params.name + ".part")
    yaml.dump(values, part)
    os.replace(part, params)


def _merge(values: CommentedMap, changes: Mapping[str, Any], where: str) -> list[CommentToken]:
    """Returns the comments behind the last key, where what they stood at is gone; the caller has the next key."""
    behind: list[CommentToken] = []
    for key, change in changes.items():
        if key not in values:
            raise InputError(f"{where}: {key} is not in params.yaml; remove it there")
        left: list[CommentToken] = []
        if isinstance(change, Mapping) and isinstance(values[key], MutableMapping):
            left = _merge(values[key], change, f"{where}.{key}")
        elif isinstance(change, list) and isinstance(values[key], list):
            if not values[key] and not any(isinstance(item, Mapping) for item in change):
                values[key].fa.set_flow_style()  # an empty list forgets its own
            values[key][:] = [_inline(item) for item in change]  # in place, so that the list's comments stay
            if not change:  # one behind its last item would go with it
                left, values[key].ca.end = values[key].ca.end or [], []
        else:
            values[key] = change
        if left and (after := list(values)[list(values).index(key) + 1 :]):
            comments = values.ca.items.setdefault(after[0], [None, None, None, None])
            comments[1] = [*left, *(comments[1] or [])]
        else:
            behind += left
    return behind


def _inline(item: Any) -> Any:
    """A mapping in a list as `{key: value}`, on a line of its own."""
    if not isinstance(item, Mapping):
        return item
    mapping = CommentedMap(item)
    mapping.fa.set_flow_style()
    return mapping


def _null(representer: RoundTripRepresenter, _: None) -> ScalarNode:
    """`null` as it is written in params.yaml; ruamel.yaml would leave the value out."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies", description=__doc__)
    parser.add_argument("study", help="a file of conf/, without its ending")
    study = parser.parse_args().study
    try:
        merge_study(study)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"params.yaml now holds the study {study}; `git diff params.yaml` shows what changed")


if __name__ == "__main__":
    main()
