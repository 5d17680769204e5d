"""flows/ talks to DVC and to result files, never to domain code, and never shares a DVC repository between threads."""

from __future__ import annotations

import ast
from pathlib import Path

FLOWS = Path(__file__).parents[2] / "flows"


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add((node.module or "").split(".")[0])
    return names


def test_flows_import_no_domain_code() -> None:
    for path in FLOWS.glob("*.py"):
        assert not imports(path) & {"pipeline", "app", "torch", "torchvision", "sklearn"}, path


def test_only_the_short_process_of_graph_opens_a_repository() -> None:
    assert [path.name for path in FLOWS.glob("*.py") if "dvc" in imports(path)] == ["graph.py"]
