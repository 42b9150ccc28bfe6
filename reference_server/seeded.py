"""Weights and a vocabulary without a download: the real architecture, untrained, from a seed.

Vectors from these weights mean nothing to a reader, but cost exactly what trained ones cost.
"""

import string
import zlib

import numpy as np
import numpy.typing as npt

from reference_server.model import Model, Pooling, Shape, TokenizerFiles, expected_weights

INIT_STD = 0.02
"""Standard deviation Hugging Face initialises BERT with."""

ATTENTION_GAIN = 3.0
"""Factor on the attention matrices.

At 1 the [CLS] row hardly moves away from its own embedding and all texts end up nearly
collinear; with this gain attention carries as much as the residual path.
"""

_BYTE_SUM_STD = float(np.sqrt(4 * (256**2 - 1) / 12))  # of a sum of four uniform bytes
_FIRST_SPECIAL = 100
_CJK_FIRST, _CJK_LAST = 0x4E00, 0x9FA5


def seeded_model(name: str, shape: Shape, seed: int) -> Model:
    """Build the model of `shape` that belongs to `seed`: same bits on every machine."""
    return Model(
        name=name,
        origin=f"seeded:{seed} (not a trained model)",
        shape=shape,
        weights={
            key: seeded_array(key, size, seed) for key, size in expected_weights(shape).items()
        },
        pooling=Pooling.CLS,
        tokenizer=TokenizerFiles(vocabulary=chinese_vocabulary(shape.vocabulary)),
        max_tokens=shape.positions,
    )


def seeded_array(name: str, size: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Fill one array: LayerNorms with ones, biases with zeros, matrices nearly normal.

    An entry is the centred sum of four uniform bytes of a PCG64 stream. NumPy promises that
    stream across versions and machines but not its normal distribution, which also calls libm.
    """
    if name.endswith("bias"):
        return np.zeros(size, np.float32)
    if "LayerNorm" in name:
        return np.ones(size, np.float32)
    gain = ATTENTION_GAIN if ".attention." in name else 1.0
    count = int(np.prod(size))
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    words = stream.random_raw((count + 1) // 2).astype("<u8", copy=False).view("<u4")[:count]
    pairs = words >> 8 & 0x00FF00FF
    pairs += words & 0x00FF00FF
    total = (pairs & 0xFFFF) + (pairs >> 16)
    values = total.astype(np.float32)
    values -= np.float32(510)
    values *= np.float32(gain * INIT_STD / _BYTE_SUM_STD)
    return values.reshape(size)


def chinese_vocabulary(size: int) -> tuple[str, ...]:
    """List `size` WordPiece entries laid out like BERT-Chinese's 21128.

    [PAD] is 0, [UNK] [CLS] [SEP] [MASK] are 100 to 103; then ASCII and its ## continuations,
    Chinese punctuation, the characters of GB 2312 (the 3755 common ones first) and the other
    unified ideographs in Unicode order until the list is full.

    >>> vocabulary = chinese_vocabulary(21128)
    >>> len(vocabulary), vocabulary[0], vocabulary[101], "中" in vocabulary, "##7" in vocabulary
    (21128, '[PAD]', '[CLS]', True, True)
    """
    entries = ["[PAD]", *(f"[unused{n}]" for n in range(1, _FIRST_SPECIAL))]
    entries += ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphanumeric = string.digits + string.ascii_lowercase
    entries += [*string.punctuation, *alphanumeric, *(f"##{c}" for c in alphanumeric)]
    entries += [*"，。！？、；：“”‘’（）《》〈〉【】「」『』—…·～￥％"]
    common = _gb2312_characters()
    seen = set(common)
    rest = (chr(code) for code in range(_CJK_FIRST, _CJK_LAST + 1))
    entries += common
    entries += [character for character in rest if character not in seen]
    return tuple(entries[:size])


def _gb2312_characters() -> list[str]:
    """Return GB 2312's ideographs: rows 16-55 hold the common ones, 56-87 the less common."""
    cells = (
        bytes((row + 0xA0, cell + 0xA0)).decode("gb2312", errors="ignore")
        for row in range(16, 88)
        for cell in range(1, 95)
    )
    return [character for character in cells if character]
