"""A workspace for one experiment: a Git worktree that shares the checkout's DVC cache and finished replicates.

So two runs with different params neither fight nor touch the checkout; what they leave is a DVC experiment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from configobj import ConfigObj
from ruamel.yaml import YAML

from flows.dvc import CheckoutError, git

FOLDER = Path(".prefect/workspaces")
OWNER = "owner"  # beside each worktree, the process that uses it


@contextmanager
def workspace(root: Path, name: str) -> Iterator[Path]:
    """A worktree of `root` at its present commit, with its uncommitted changes; gone afterwards.

    Its outputs are still to be filled in from the cache (`read_graph` does, with `fill`).
    """
    remove_abandoned(root)
    home = root / FOLDER / name
    try:
        home.mkdir(parents=True)
    except FileExistsError:
        raise CheckoutError(f"experiment {name} is being run already; choose another name") from None
    (home / OWNER).write_text(f"{os.getpid()} {psutil.Process().create_time()}")
    tree = home / "tree"
    try:
        git(root, "worktree", "add", "--detach", "--quiet", str(tree), "HEAD")
        changes = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=root, capture_output=True, check=True).stdout
        if changes:
            git(tree, "apply", "--whitespace=nowarn", given=changes)
        _share(root, tree)
        yield tree
    finally:
        _remove(root, home)


def remove_abandoned(root: Path) -> None:
    """Remove the workspaces whose process is gone: a killed flow cannot do so itself."""
    for owner in root.joinpath(FOLDER).glob(f"*/{OWNER}"):
        pid, created = owner.read_text().split()
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(int(pid)).create_time() == float(created):
                continue
        _remove(root, owner.parent)


def _share(root: Path, tree: Path) -> None:
    """Let the worktree use the checkout's DVC cache, local settings, finished replicates and unversioned data."""
    local = root / ".dvc/config.local"
    if local.exists():
        shutil.copy(local, tree / ".dvc/config.local")
    config = ConfigObj(str(tree / ".dvc/config.local"))
    config.setdefault("cache", {})["dir"] = str(_cache(root))
    for section, url in _relative_remotes(root).items():
        config.setdefault(section, {})["url"] = str((root / ".dvc" / url).resolve())
    config.write()
    finished = root / ".cache"
    finished.mkdir(exist_ok=True)
    (tree / ".cache").symlink_to(finished)
    for name in _unversioned_data(root):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(root / name, target)
        except OSError:
            shutil.copy(root / name, target)


def _unversioned_data(root: Path) -> list[str]:
    """Files under `data.root` that Git does not track: fetched data sets, or one's own images."""
    params = root / "params.yaml"
    values = YAML(typ="safe").load(params) if params.exists() else None
    data = values.get("data") if isinstance(values, dict) else None
    folder = data.get("root") if isinstance(data, dict) else None
    if not isinstance(folder, str) or not (root / folder).resolve().is_relative_to(root.resolve()):
        return []
    listed = git(root, "ls-files", "-z", "--others", "--", folder).split("\0")
    return [name for name in listed if name and (root / name).is_file()]


def _relative_remotes(root: Path) -> dict[str, str]:
    """Remotes by their section of DVC's settings whose address is a folder relative to .dvc, the worktree's another."""
    urls = {}
    for name in ("config", "config.local"):
        for section, values in ConfigObj(str(root / ".dvc" / name)).items():
            if section.startswith("remote ") and "url" in values:
                urls[section] = values["url"]
    return {section: url for section, url in urls.items() if "://" not in url and not Path(url).is_absolute()}


def _cache(root: Path) -> Path:
    """Where the checkout's DVC cache lies."""
    for name in ("config.local", "config"):
        folder = ConfigObj(str(root / ".dvc" / name)).get("cache", {}).get("dir")
        if folder:
            return (root / ".dvc" / folder).resolve()
    return root / ".dvc/cache"


def _remove(root: Path, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    with suppress(Exception):
        git(root, "worktree", "prune")
