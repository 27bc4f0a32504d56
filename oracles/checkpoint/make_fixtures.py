"""Makes packages/checkpoint/test/fixtures: files that the reference implementations wrote.

    python make_fixtures.py

- plain.safetensors      written by safetensors.numpy
- dtypes.safetensors     one tensor of each dtype that numpy and ml_dtypes know, with metadata
- casts.safetensors      f32 values and their codes in 16- and 8-bit floats, as numpy and ml_dtypes round them
- casts.json             SHA-256 of the f32 values of all codes of each type, NaNs as 0x7fc00000
- small.gguf             written by gguf: every metadata type, plain and packed tensors
- small.json             the values that small.gguf holds
- paddle-protocol*.pdparams  a dict of numpy arrays, pickled as paddle.save does it
"""

import hashlib
import json
import pickle
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
from safetensors import TensorSpec, serialize_file
from safetensors.numpy import save_file

OUT = Path(__file__).resolve().parents[2] / "packages" / "checkpoint" / "test" / "fixtures"

SMALL_FLOATS = {
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
}
PLAIN = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F32": np.float32,
    "F64": np.float64,
}


def codes(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint16 if array.dtype.itemsize == 2 else np.uint8)


def write_raw(path: Path, tensors: dict, metadata: dict | None) -> None:
    """Writes tensors of any dtype, which safetensors.numpy cannot for those of ml_dtypes."""
    specs = {
        name: TensorSpec(dtype=array.dtype.name, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for name, array in tensors.items()
    }
    serialize_file(specs, str(path), metadata=metadata)


def make_plain() -> None:
    rng = np.random.default_rng(1)
    save_file(
        {
            "model.embed_tokens.weight": rng.standard_normal((5, 4), dtype=np.float32),
            "ids": np.arange(6, dtype=np.int64).reshape(2, 3) - 2,
            "half": rng.standard_normal(3).astype(np.float16),
            "empty": np.zeros((0, 7), dtype=np.float32),
            "scalar": np.array(42, dtype=np.uint8),
            "名字 \"quoted\"": np.array([True, False]),
        },
        OUT / "plain.safetensors",
        metadata={"note": "line\nbreak — 汉字"},  # one entry: the order of several is random
    )


def make_dtypes() -> None:
    tensors = {}
    for name, dtype in {**PLAIN, **SMALL_FLOATS}.items():
        values = np.array([0, 1, 2, 3, 4, 1]).reshape(2, 3) if name != "F8_E8M0" else np.array([[1, 2, 4], [8, 16, 32]])
        tensors[name] = values.astype(dtype)
    write_raw(OUT / "dtypes.safetensors", tensors, {"made": "for tests"})


def cast_inputs(dtype, rng) -> np.ndarray:
    """Values of the type, the midpoints between neighbours, and what lies just beside those."""
    width = np.dtype(dtype).itemsize * 8
    all_codes = np.arange(2**width, dtype=np.uint16 if width == 16 else np.uint8)
    if width == 16:
        all_codes = np.sort(rng.choice(all_codes, 700, replace=False))
    with np.errstate(all="ignore"):
        values = all_codes.view(dtype).astype(np.float32)
        following = (all_codes + np.array(1, dtype=all_codes.dtype)).view(dtype).astype(np.float32)
        middle = ((values.astype(np.float64) + following.astype(np.float64)) / 2).astype(np.float32)
    beside = [np.nextafter(middle, np.float32(sign * np.inf)) for sign in (1, -1)]
    return np.concatenate([values, middle, *beside]).astype(np.float32)


def make_casts() -> None:
    rng = np.random.default_rng(2)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1e-45, -1e-45, 448, 464, 465, 57344, 61440, 65504, 65519.996, 65520], dtype=np.float32)
    tensors, hashes = {}, {}
    for name, dtype in SMALL_FLOATS.items():
        with np.errstate(all="ignore"):
            values = np.concatenate([special, cast_inputs(dtype, rng)])
            if name == "F8_E8M0":
                values = values[values >= 2**-126]  # ml_dtypes does not round to nearest below
            tensors[f"{name}.values"] = values
            tensors[f"{name}.codes"] = codes(values.astype(dtype))
            width = np.dtype(dtype).itemsize * 8
            every = np.arange(2**width, dtype=np.uint16 if width == 16 else np.uint8).view(dtype).astype(np.float32)
        bits = every.view(np.uint32).copy()
        bits[np.isnan(every)] = 0x7FC00000
        hashes[name] = hashlib.sha256(bits.tobytes()).hexdigest()
    wide = rng.integers(-(2**63), 2**63, 200, dtype=np.int64) >> rng.integers(0, 60, 200)
    ties = np.array([2**60 + 2**36, 2**60 + 2**36 + 1, 2**60 + 3 * 2**36, -(2**60) - 2**36 - 1], dtype=np.int64)
    wide = np.concatenate([wide, ties])
    tensors["I64.values"] = wide
    tensors["I64.f32"] = wide.astype(np.float32)
    write_raw(OUT / "casts.safetensors", tensors, None)
    (OUT / "casts.json").write_text(json.dumps(hashes, indent=2) + "\n")


def make_gguf() -> None:
    rng = np.random.default_rng(3)
    path = OUT / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    fields = {
        "test.u8": (255, writer.add_uint8),
        "test.i8": (-128, writer.add_int8),
        "test.u16": (65535, writer.add_uint16),
        "test.i16": (-32768, writer.add_int16),
        "test.u32": (2**32 - 1, writer.add_uint32),
        "test.i32": (-(2**31), writer.add_int32),
        "test.u64": (2**64 - 1, writer.add_uint64),
        "test.i64": (-(2**63), writer.add_int64),
        "test.f32": (0.5, writer.add_float32),
        "test.f64": (0.1, writer.add_float64),
        "test.bool": (True, writer.add_bool),
        "test.string": ("汉字 and more", writer.add_string),
        "test.strings": (["a", "", "字"], writer.add_array),
        "test.ints": ([1, -2, 3], writer.add_array),
        "test.floats": ([0.5, -1.25], writer.add_array),
        "test.bools": ([True, False], writer.add_array),
        "test.nested": ([[1, 2], [3]], writer.add_array),
    }
    for key, (value, add) in fields.items():
        add(key, value)
    tensors = {
        "token_embd.weight": ("F32", rng.standard_normal((4, 64), dtype=np.float32)),
        "half": ("F16", rng.standard_normal(3).astype(np.float16)),
        "cube": ("I32", np.arange(24, dtype=np.int32).reshape(2, 3, 4)),
    }
    for name, (_, array) in tensors.items():
        writer.add_tensor(name, array)
    source = rng.standard_normal((3, 256), dtype=np.float32)
    packed = {}
    for kind in ("BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0"):
        quantized = gguf.quants.quantize(source, gguf.GGMLQuantizationType[kind])
        writer.add_tensor(f"packed.{kind}", quantized, raw_dtype=gguf.GGMLQuantizationType[kind])
        packed[f"packed.{kind}"] = (kind, source.shape, quantized.tobytes())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    described = {name: {"dtype": d, "shape": list(a.shape), "sha256": hashlib.sha256(a.tobytes()).hexdigest()} for name, (d, a) in tensors.items()}
    described |= {n: {"dtype": d, "shape": list(s), "sha256": hashlib.sha256(b).hexdigest()} for n, (d, s, b) in packed.items()}
    # 64-bit integers as text: JSON readers round them.
    values = {key: str(value) if abs(value) > 2**53 else value for key, (value, _) in fields.items() if isinstance(value, int)}
    values |= {key: value for key, (value, _) in fields.items() if not isinstance(value, int)}
    (OUT / "small.json").write_text(json.dumps({"fields": values, "tensors": described}, indent=2, ensure_ascii=False) + "\n")


def make_paddle() -> None:
    """What `paddle.save` writes for a state dict (python/paddle/framework/io.py): structured names to arrays."""
    weights = {
        "linear.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 2,
        "linear.bias": ("linear_0.b_0", np.array([1, 2, 3], dtype=np.float32)),
        "steps": np.array(7, dtype=np.int64),
        "half": np.array([0.5], dtype=np.float16),
        "StructuredToParameterName@@": {"linear.weight": "linear_0.w_0"},
    }
    for protocol in (2, 4):
        (OUT / f"paddle-protocol{protocol}.pdparams").write_bytes(pickle.dumps(weights, protocol=protocol))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    make_plain()
    make_dtypes()
    make_casts()
    make_gguf()
    make_paddle()
    for file in sorted(OUT.iterdir()):
        print(f"{file.name}: {file.stat().st_size} bytes")
