"""The device of a run and the global switches that depend on it."""

import os

import torch

from utils.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """The device asked for; by default this process's GPU where there is one, else the CPU.

    Raises:
        UserError: `name` is no device, or none that this process can have for itself.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # that `torchrun` started on this machine
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name}: no such device; this machine has {_devices()}") from None
    try:
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", _local_rank())
        elif device.type == "cuda" and local_processes > 1:
            raise UserError(
                f"--device {name}: one GPU for {local_processes} processes; --device cuda gives each one of its own"
            )
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: cannot be used ({reason}); this machine has {_devices()}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _devices() -> str:
    """The devices of this machine, as --device takes them."""
    names = ["cpu"]
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names.append(f"cuda ({count} {'device' if count == 1 else 'devices'})")
    return ", ".join(names + ["mps"] * torch.backends.mps.is_available())


def _local_rank() -> int:
    """This process's rank on its machine, which is also its GPU; a UserError where there are fewer GPUs."""
    rank, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if 0 < gpus <= rank:
        raise UserError(
            f"LOCAL_RANK={rank}: a process too many for the {gpus} GPU(s) of this machine; start no more than {gpus} "
            "(torchrun --nproc_per_node), or run on the CPU with --device cpu"
        )
    return rank


def runs_channels_last(choice: bool | None, device: torch.device, *, trains: bool) -> bool:
    """Whether networks and images are channels_last: by `training.channels_last`, else by docs/performance.md.

    Validations during a training keep its format (`trains`).
    """
    return (trains or device.type == "cpu") if choice is None else choice


def set_switches(device: torch.device, *, benchmark: bool, detect_anomaly: bool) -> None:
    """cuDNN autotuning and TensorFloat-32 on a GPU; autograd's anomaly detection where asked for."""
    torch.autograd.set_detect_anomaly(detect_anomaly)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision("high")
