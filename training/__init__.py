"""Training, evaluation and prediction: what the commands of `main.py` do."""

import os

# Read when PyTorch is loaded, hence here, where the commands begin. On the CPU a thread that waits for the others of an
# operation spins, by default for milliseconds; where loader workers or other jobs share the cores, a step then takes
# ten times as long. Spinning this briefly costs little on free cores (measured on 2) and a factor of two on busy ones.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
