"""Measurements of the project itself: how its defaults were chosen, and what they cost."""
