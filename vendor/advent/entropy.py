"""The weighted self-information map, which ADVENT's discriminators look at (Vu et al., CVPR 2019, sec. 3.2)."""

import math

from torch import Tensor


def self_information(logits: Tensor) -> Tensor:
    """-p log2(p) / log2(C) of every class at every pixel, p the softmax over classes: [B, C, H, W] -> same.

    The sum over classes is the normalised entropy: 1 where all classes are as likely, 0 where one is certain.
    Taken from log-probabilities in float32: a class whose p underflows to 0 gives 0 and a finite gradient without the
    1e-30 inside the logarithm that probabilities need, and one map less is kept for the backward pass.
    """
    log_p = logits.float().log_softmax(1)
    return log_p.exp() * log_p * (-1 / math.log(logits.shape[1]))
