"""Benchmarks of an experiment on this machine, one module a kind; `__main__.py` is their command line.

What counts is ratios within one run: machines differ, and a busy one changes from minute to minute.
"""
