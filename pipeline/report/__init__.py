"""One self-contained page, and a Markdown summary, that show a study's answer and why it can be trusted."""

from pipeline.report.page import write
from pipeline.report.tables import print_table

__all__ = ["print_table", "write"]
