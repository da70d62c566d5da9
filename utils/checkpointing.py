"""Activation checkpointing: part of a network runs again in the backward pass instead of storing its activations.

PyTorch's own, except that the second run leaves the statistics of batch norms alone, which would otherwise move twice
a step: training with and without it is the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_checkpointed(module: nn.Module, *inputs: Tensor | None) -> Tensor:
    """`module(*inputs)`, storing only the inputs for the backward pass; without gradients a plain call."""
    if not torch.is_grad_enabled():
        return module(*inputs)
    return checkpoint(
        module, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(module))
    )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.num_batches_tracked is not None]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    unread = torch.zeros((), dtype=torch.int64)  # on the CPU, so that counting queues nothing on a GPU
    for norm in norms:
        # With statistics switched off it would store other tensors than in the first run, which PyTorch refuses, and
        # SyncBatchNorm needs a count.
        norm.momentum, norm.num_batches_tracked = 0.0, unread
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
