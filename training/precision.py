"""Number formats of a training step: float32, or autocast to bfloat16 or (with a gradient scaler) float16."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.optim import Optimizer

from utils.errors import UserError


class Precision:
    """Autocast for the forward pass, and the gradient scaler that float16 needs.

    Raises:
        UserError: float16 on a CPU, which has no scaled float16 kernels worth the name.
    """

    def __init__(self, *, device: torch.device, use_amp: bool, amp_dtype: str) -> None:
        if use_amp and amp_dtype == "float16" and device.type == "cpu":
            raise UserError(
                "training.amp_dtype: float16 needs a GPU; on the CPU use --set training.amp_dtype=bfloat16 or "
                "--set training.use_amp=false"
            )
        self.device = device
        self.use_amp = use_amp
        half = torch.float16 if amp_dtype == "float16" else torch.bfloat16
        self.dtype = half if use_amp else torch.float32
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)

    def autocast(self) -> AbstractContextManager:
        """The context in which networks run forward."""
        return torch.autocast(self.device.type, dtype=self.dtype if self.use_amp else None, enabled=self.use_amp)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, scaled for float16."""
        self.scaler.scale(loss).backward()

    def clip(self, optimizer: Optimizer, max_norm: float | None) -> None:
        """Clip the norm of the gradients of the optimizer's parameters to `max_norm`; None or 0 leaves them."""
        if max_norm:
            self.scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, max_norm, foreach=True)

    def step(self, optimizer: Optimizer) -> None:
        """One optimizer step; skipped by the scaler when float16 gradients overflowed."""
        if any(parameter.grad is not None for group in optimizer.param_groups for parameter in group["params"]):
            self.scaler.step(optimizer)
        else:  # a discriminator before adaptation starts, which the scaler would refuse to step
            optimizer.step()
