"""Which engine, precision and device: asked, available, decided."""

import ctypes
import importlib.util
from dataclasses import dataclass

from reference_server.engines import Engine
from reference_server.errors import SetupError
from reference_server.model import Model

DEVICES = ("auto", "cpu", "cuda")

PRECISIONS = {
    ("onnx", "cpu"): ("int8", "fp32"),
    ("onnx", "cuda"): ("fp32",),
    ("torch", "cpu"): ("fp32", "bf16"),
    ("torch", "cuda"): ("fp16", "bf16", "fp32"),
}
"""What each engine computes in on each device; the first is what `auto` takes."""


@dataclass(frozen=True, slots=True)
class Available:
    """What this machine offers."""

    torch: bool
    torch_cuda: bool
    onnx_cuda: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A combination that can run."""

    engine: str
    precision: str
    device: str


def choose(engine: str, precision: str, device: str, available: Available) -> Choice:
    """Resolve every `auto`; SetupError for what this machine or the engine lacks.

    >>> choose("auto", "auto", "auto", Available(torch=True, torch_cuda=False, onnx_cuda=False))
    Choice(engine='onnx', precision='int8', device='cpu')
    """
    if engine == "torch" and not available.torch:
        raise SetupError("engine=torch needs PyTorch; install the extra `gpu`")
    with_cuda = [
        name
        for name, usable in (("torch", available.torch_cuda), ("onnx", available.onnx_cuda))
        if usable and engine in ("auto", name)
    ]
    if device == "cuda" and not with_cuda:
        raise SetupError(f"--device cuda: no CUDA device is usable with engine={engine}")
    if device != "cpu" and with_cuda:
        engine, device = with_cuda[0], "cuda"
    else:
        engine, device = ("onnx" if engine == "auto" else engine), "cpu"
    allowed = PRECISIONS[engine, device]
    if precision == "auto":
        precision = allowed[0]
    if precision not in allowed:
        raise SetupError(
            f"precision={precision} is not there with engine={engine} on {device}; "
            f"allowed: {', '.join(allowed)}"
        )
    return Choice(engine, precision, device)


def detect() -> Available:
    """Ask this machine; imports torch only where a CUDA driver finds a device."""
    has_torch = importlib.util.find_spec("torch") is not None
    if _cuda_devices() == 0:
        return Available(torch=has_torch, torch_cuda=False, onnx_cuda=False)
    import onnxruntime as ort  # noqa: PLC0415  # slow to import, needed late

    torch_cuda = False
    if has_torch:
        import torch  # noqa: PLC0415

        torch_cuda = bool(torch.cuda.is_available())
    return Available(
        has_torch, torch_cuda, "CUDAExecutionProvider" in ort.get_available_providers()
    )


def create(model: Model, choice: Choice, threads: int) -> Engine:
    """Build the chosen engine; importing its library takes a while, so only the chosen one."""
    if choice.engine == "torch":
        from reference_server.engines.torch import TorchEngine  # noqa: PLC0415

        return TorchEngine(model, precision=choice.precision, device=choice.device, threads=threads)
    from reference_server.engines.onnx import OnnxEngine  # noqa: PLC0415

    return OnnxEngine(model, precision=choice.precision, device=choice.device, threads=threads)


def _cuda_devices() -> int:
    """Count devices through the driver's own library; 0 without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
