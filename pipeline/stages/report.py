"""Write the page and the summary from what the other stages left."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.page import write
from pipeline.stages.stage import Stage, read_params, run, whole_folder


def report(stage: Stage) -> None:
    # The page prints every param there is; those that it does not depend on are printed as they stand.
    with whole_folder(Path("report")) as folder:
        write(Path(), stage.value("study.budgets"), read_params(stage.params_file), folder)
    print("report: the answer is on the page report/index.html")


if __name__ == "__main__":
    run("report", report, recorded=False)
