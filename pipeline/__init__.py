"""How each number of a study is computed: plain functions on tensors and arrays.

Importing this package loads neither torch nor DVC nor Prefect.
"""
