"""One self-contained page, and a Markdown summary, that show a study's answer and why it can be trusted."""
