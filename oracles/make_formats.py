"""Packed formats: bytes and values of gguf.quants (ggml's own rounding), bitsandbytes' NF4 and torch's E4M3.

formats.safetensors:
  values [4, 512]            what is packed: normal numbers, a block of zeros, a constant block, an outlier, tiny numbers
  ggml/NAME/packed           blocks of `values` as gguf.quantize makes them, where it can
  ggml/NAME/blocks           [2, bytes per row of 512] random codes with scales of common size
  ggml/NAME/values [2, 512]  what gguf.dequantize makes of them
  nf4/*                      bitsandbytes' quantize_4bit of `values`, with and without double quantisation, and its dequantize_4bit
  e4m3/values [256]          every code as f32 (NaN left out of comparisons); e4m3/rounded: codes of e4m3/given
formats-error.json: the mean squared errors of ggml's own C quantisers on `values`, and of ours to beat; made only where GGML_BASE_LIBRARY
  names a libggml-base.so (node-llama-cpp brings one).
formats-importance.json: importance [512], and the mean importance-weighted squared errors per row of the same quantisers when they get it.
NF4 needs bitsandbytes 0.48.1; without it the script keeps what the committed fixture has.
"""

import ctypes
import os

import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors.torch import load_file

from fixture import path_of, save_json, save_tensors

COLUMNS = 512
random = np.random.default_rng(11)
tensors: dict[str, torch.Tensor] = {}


def sample() -> np.ndarray:
    values = random.standard_normal((4, COLUMNS)).astype(np.float32)
    values[1] *= 0.02
    values[2, :256] = 0
    values[2, 256:288] = 0.75
    values[2, 300] = 50
    values[3] *= np.float32(1e-6)
    values[3, 256:] = np.abs(random.standard_normal(256)).astype(np.float32) + 3
    return values


# Where each block type keeps its f16 numbers.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}  # fmt: skip


def random_blocks(name: str) -> np.ndarray:
    columns, size = GGML_QUANT_SIZES[Type[name]]
    blocks = random.integers(0, 256, (2 * COLUMNS // columns, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = (random.standard_normal(len(blocks)) * 0.05).astype(np.float16)
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(2, -1)


def ggml(values: np.ndarray) -> None:
    for name in HALVES:
        try:
            tensors[f"ggml/{name.lower()}/packed"] = torch.from_numpy(quants.quantize(values, Type[name]))
        except NotImplementedError:
            pass
        blocks = random_blocks(name)
        tensors[f"ggml/{name.lower()}/blocks"] = torch.from_numpy(blocks)
        tensors[f"ggml/{name.lower()}/values"] = torch.from_numpy(quants.dequantize(blocks, Type[name]))


def ggml_errors(values: np.ndarray) -> None:
    path = os.environ.get("GGML_BASE_LIBRARY")
    if not path:
        return
    library = ctypes.CDLL(path)
    quantize = library.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def errors(importance: np.ndarray | None) -> dict[str, list[float]]:
        found = {}
        for name in HALVES:
            columns, size = GGML_QUANT_SIZES[Type[name]]
            out = np.zeros((len(values), COLUMNS // columns * size), np.uint8)
            weights = None if importance is None else importance.ctypes.data
            quantize(int(Type[name]), values.ctypes.data, out.ctypes.data, 0, len(values), COLUMNS, weights)
            squares = (quants.dequantize(out, Type[name]).astype(np.float64) - values) ** 2
            if importance is not None:
                squares *= importance
            found[name.lower()] = [float(row) for row in squares.mean(axis=1)]
        return found

    save_json("formats-error", errors(None), 1)
    # Mean squared activations: mostly alike, some columns large (its own stream: the other fixtures stay as they are).
    importance = np.random.default_rng(12).lognormal(0, 1.5, COLUMNS).astype(np.float32)
    save_json("formats-importance", {"importance": [float(x) for x in importance], "errors": errors(importance)}, 1)


def nf4(values: torch.Tensor) -> None:
    try:
        from bitsandbytes import functional
    except ImportError:
        old = load_file(path_of("formats.safetensors"))
        tensors.update({name: tensor for name, tensor in old.items() if name.startswith("nf4/")})
        return
    codes, state = functional.quantize_4bit(values, blocksize=64, quant_type="nf4")
    tensors["nf4/codes"], tensors["nf4/absmax"] = codes.flatten(), state.absmax
    tensors["nf4/unpacked-plain"] = functional.dequantize_4bit(codes, state)
    codes, state = functional.quantize_4bit(values, blocksize=64, quant_type="nf4", compress_statistics=True)
    tensors["nf4/nested/codes"], tensors["nf4/nested/absmax"] = codes.flatten(), state.absmax
    tensors["nf4/nested/nestedAbsmax"], tensors["nf4/nested/nestedMap"] = state.state2.absmax, state.state2.code
    tensors["nf4/nested/offset"] = state.offset.reshape(1)
    tensors["nf4/unpacked"] = functional.dequantize_4bit(codes, state)


def e4m3() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    tensors["e4m3/values"] = codes.view(torch.float8_e4m3fn).float().nan_to_num(nan=0.0)
    steps = codes.view(torch.float8_e4m3fn).float()[:126]
    halves = (steps[1:] + steps[:-1]) / 2
    given = torch.cat([halves, -halves, torch.from_numpy(random.standard_normal(256)).float() * 30])
    tensors["e4m3/given"] = given
    tensors["e4m3/rounded"] = given.to(torch.float8_e4m3fn).view(torch.uint8)


def main() -> None:
    values = sample()
    tensors["values"] = torch.from_numpy(values)
    ggml(values)
    ggml_errors(values)
    nf4(torch.from_numpy(values))
    e4m3()
    save_tensors("formats", tensors)


main()
