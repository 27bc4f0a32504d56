"""GGUF types that are only read: what gguf.quants makes of blocks that a formula gives.

formats-read.json: for each type { columns, bytes, halves, sha256 }. The blocks are BLOCKS times `bytes` bytes of a linear congruential
  generator (state = state · 1664525 + 1013904223 mod 2^32 from 1 on, bits 16 to 23 of each state); then each f16 that begins at a
  byte of `halves` gets 0x20 as the highest of its bits (sign kept), so that it is finite. sha256 is that of all values as f32.
"""

import hashlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

from fixture import save_json

# So many that every point of every grid is met.
BLOCKS = 1024
HALVES = {
    "IQ4_XS": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ1_S": [0],
    # The highest four bits of an f16 of four parts.
    "IQ1_M": [54], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [], "NVFP4": [],
}  # fmt: skip


def generated(count: int) -> np.ndarray:
    state, out = 1, np.empty(count, np.uint8)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = state >> 16 & 255
    return out


def main() -> None:
    found = {}
    for name, halves in HALVES.items():
        columns, size = GGML_QUANT_SIZES[Type[name]]
        blocks = generated(BLOCKS * size).reshape(BLOCKS, size)
        for at in halves:
            blocks[:, at + 1] = blocks[:, at + 1] & 0x8F | 0x20
        values = quants.dequantize(blocks, Type[name]).astype("<f4")
        assert not np.isnan(values).any(), name  # MXFP4 has scales of 2^127
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        found[name.lower()] = {"columns": columns, "bytes": size, "halves": halves, "sha256": digest}
    save_json("formats-read", found, 1)


main()
