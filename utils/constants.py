"""What more than one part of the project must agree on."""

import re

IGNORE_INDEX = 250  # train id of pixels without a label

# Ground-truth depth outside (MIN_DEPTH, MAX_DEPTH) metres is not evaluated, predictions are clamped to it.
MIN_DEPTH = 1e-3
MAX_DEPTH = 80.0

THREE_WAYS_LEVEL = 2  # last level of the decoders of `padnet+` before they exchange features


def without_wrapper(name: str) -> str:
    """A parameter's or group's name without the `main.` or `monodepth.` that published files of video depth have."""
    return re.sub(r"^(main|monodepth)\.(?=.)", "", name)
