"""Experiments in workspaces of their own share one Git repository."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from toy_study import change, commit, make_toy

from flows.dvc import Checkout
from flows.graph import read_graph
from flows.history import free_name
from flows.processes import Processes
from flows.workspace import workspace


def test_experiments_are_saved_at_the_same_time(tmp_path: Path) -> None:
    root, names = make_toy(tmp_path / "toy"), ["one", "two", "three"]
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=root, check=True)
    commit(root, "results")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        trees = [stack.enter_context(workspace(root, name)) for name in names]
        for tree, name in zip(trees, names, strict=True):
            read_graph(tree, fill=True)
            change(tree, "a comment that stays", name)
        list(pool.map(lambda tree, name: Checkout(tree, Processes()).save_experiment(name), trees, names))
    assert [free_name(root, name) for name in names] == [f"{name}-2" for name in names]
    assert list(root.glob(".prefect/workspaces/*")) == []


def test_a_folder_beside_the_checkout_is_the_same_remote_in_a_workspace(tmp_path: Path) -> None:
    root = make_toy(tmp_path / "toy")
    for words in (["--default", "store", "../store"], ["--local", "mine", "../mine"], ["far", "s3://bucket/folder"]):
        subprocess.run([sys.executable, "-m", "dvc", "remote", "add", "-q", *words], cwd=root, check=True)
    commit(root, "remotes")
    code = "from dvc.repo import Repo; print(*(one['url'] for one in Repo().config['remote'].values()))"
    found = {}
    with workspace(root, "one") as tree:
        for folder in (root, tree):
            asked = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
            found[folder] = asked.stdout.split()
    assert found[tree] == found[root] == [str(tmp_path / "store"), "s3://bucket/folder", str(tmp_path / "mine")]
