"""PyTorch: CUDA in half precision, or a CPU; plain, padded batches."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from reference_server.engines import Vectors
from reference_server.model import Model, Pooling
from reference_server.packing import TokenIds

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchEngine:
    """The encoder's forward pass in torch operators, weights resident on the device."""

    def __init__(self, model: Model, *, precision: str, device: str, threads: int) -> None:
        if device == "cpu":
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._shape = model.shape
        self._pooling = model.pooling
        self._weights = {
            name: torch.from_numpy(np.array(array)).to(self._device, _DTYPES[precision])
            for name, array in model.weights.items()
        }
        name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
        self._facts = {
            "engine": "torch",
            "precision": precision,
            "device": device,
            "device_name": name,
            "threads": threads,
            "providers": [device],
            "library": f"torch {torch.__version__}",
        }

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def embed(self, texts: Sequence[TokenIds]) -> Vectors:
        """Compute all texts in one pass, padded to the longest."""
        longest = max(map(len, texts))
        ids = np.zeros((len(texts), longest), np.int64)
        inside = np.zeros((len(texts), longest), np.bool_)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            inside[row, : len(text)] = True
        mask = torch.from_numpy(inside).to(self._device)
        rows = self._embeddings(torch.from_numpy(ids).to(self._device))
        for layer in range(self._shape.layers):
            rows = self._layer(f"encoder.layer.{layer}.", rows, mask)
        vectors: Vectors = functional.normalize(self._pool(rows, mask), dim=-1).cpu().numpy()
        return vectors

    def describe(self) -> Mapping[str, object]:
        """Say what runs."""
        return self._facts

    def _embeddings(self, ids: torch.Tensor) -> torch.Tensor:
        w = self._weights
        rows = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        return self._layer_norm(rows, "embeddings.LayerNorm")

    def _layer(self, prefix: str, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        def heads(part: str) -> torch.Tensor:
            flat = self._dense(rows, f"{prefix}attention.self.{part}")
            return flat.unflatten(-1, (self._shape.heads, self._shape.head_size)).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask[:, None, None, :]
        )
        mixed = self._dense(mixed.transpose(1, 2).flatten(2), f"{prefix}attention.output.dense")
        rows = self._layer_norm(mixed + rows, f"{prefix}attention.output.LayerNorm")
        inner = functional.gelu(self._dense(rows, f"{prefix}intermediate.dense"))
        outer = self._dense(inner, f"{prefix}output.dense")
        return self._layer_norm(outer + rows, f"{prefix}output.LayerNorm")

    def _pool(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows = rows.float()
        if self._pooling is Pooling.CLS:
            return rows[:, 0]
        inside = mask[:, :, None]
        return (rows * inside).sum(1) / inside.sum(1)

    def _dense(self, rows: torch.Tensor, name: str) -> torch.Tensor:
        w = self._weights
        return functional.linear(rows, w[f"{name}.weight"], w[f"{name}.bias"])

    def _layer_norm(self, rows: torch.Tensor, name: str) -> torch.Tensor:
        w = self._weights
        return functional.layer_norm(
            rows,
            (self._shape.hidden,),
            w[f"{name}.weight"],
            w[f"{name}.bias"],
            self._shape.layer_norm_eps,
        )
