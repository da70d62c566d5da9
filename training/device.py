"""The device of a run and the global switches that depend on it."""

import os

import torch

from utils.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """The device asked for; without a wish, this process's GPU where there is one, else the CPU.

    Raises:
        UserError: `name` is no device, or one this machine does not have.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: cannot be used ({reason}); try --device cpu") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def set_switches(device: torch.device, *, benchmark: bool, detect_anomaly: bool) -> None:
    """cuDNN autotuning and TensorFloat-32 on a GPU; autograd's anomaly detection where asked for."""
    torch.autograd.set_detect_anomaly(detect_anomaly)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision("high")
