"""ONNX Runtime on the packed graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime as ort

from reference_server.engines import Vectors
from reference_server.model import Model
from reference_server.onnx_graph import build_onnx
from reference_server.packing import TokenIds, pack

_CPU_FACTS = Path("/proc/cpuinfo")


class OnnxEngine:
    """One session, `threads` compute threads, fp32 or int8."""

    def __init__(self, model: Model, *, precision: str, device: str, threads: int) -> None:
        levels = weight_levels(_CPU_FACTS.read_text() if _CPU_FACTS.exists() else "")
        built = build_onnx(model, int8=precision == "int8", weight_levels=levels)
        # The session reads these arrays in place, so they must live as long as it does.
        self._arrays = {
            name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in built.arrays.items()
        }
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(self._arrays), list(self._arrays.values()))
        providers = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, "CUDAExecutionProvider")
        self._session = ort.InferenceSession(built.graph, options, providers=providers)
        self._facts = {
            "engine": "onnx",
            "precision": precision,
            "device": device,
            "threads": threads,
            "providers": self._session.get_providers(),
            "library": f"onnxruntime {ort.__version__}",
        }

    def embed(self, texts: Sequence[TokenIds]) -> Vectors:
        """Compute all texts in one pass, packed."""
        batch = pack(texts)
        feed = {
            "ids": batch.ids,
            "positions": batch.positions,
            "segments": batch.segments,
            "starts": batch.starts,
            "lengths": batch.lengths,
        }
        vectors: Vectors = self._session.run(["vectors"], feed)[0]
        return vectors

    def describe(self) -> Mapping[str, object]:
        """Say which session runs."""
        return self._facts


def weight_levels(cpu_facts: str) -> int:
    """Choose the int8 range from the text of /proc/cpuinfo.

    Without VNNI (or Arm's dot product) the 8-bit product adds pairs in 16 bits and saturates;
    7-bit weights keep it exact (ONNX Runtime's documentation calls this `reduce_range`).

    >>> weight_levels("flags : avx512_vnni"), weight_levels("flags : avx2")
    (127, 63)
    """
    exact = any(flag in cpu_facts for flag in ("avx512_vnni", "avx_vnni", "asimddp"))
    return 127 if exact else 63
