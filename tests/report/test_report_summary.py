"""The Markdown summary."""

import json
from pathlib import Path
from typing import Any


def test_summary(study: tuple[Path, dict[str, Any]], html: str) -> None:
    summary = (study[0] / "report/summary.md").read_text(encoding="utf-8")
    metrics = json.loads((study[0] / "results/metrics.json").read_text())
    assert summary.startswith("# Yes: adding GAN images helps\n\n" + metrics["primary"]["sentence"])
    assert "| arm | against | delta, points | interval | better in | verdict |" in summary
    assert f"| gan | {metrics['accuracy']['5']['gan']['mean']:.2f} |" in summary
    assert "label agreement 90." in summary and "Warning" not in summary
