"""Numbers that more than one part of the project must agree on."""

IGNORE_INDEX = 250  # train id of pixels without a label

# Ground-truth depth outside (MIN_DEPTH, MAX_DEPTH) metres is not evaluated, predictions are clamped to it.
MIN_DEPTH = 1e-3
MAX_DEPTH = 80.0

THREE_WAYS_LEVEL = 2  # last level of the decoders of `padnet+` before they exchange features
