"""float32 → bfloat16 and float16 (to nearest, ties to even) and back, bit for bit, from torch."""

import torch

from fixture import save_json

NAMED = {
    "zero": 0x00000000,
    "minus zero": 0x80000000,
    "one": 0x3F800000,
    "infinity": 0x7F800000,
    "minus infinity": 0xFF800000,
    "largest float32": 0x7F7FFFFF,
    "smallest subnormal": 0x00000001,
    "largest subnormal": 0x007FFFFF,
    "smallest normal": 0x00800000,
    "bf16 tie, down to even": 0x3F808000,
    "bf16 tie, up to even": 0x3F818000,
    "just above a bf16 tie": 0x3F808001,
    "just below a bf16 tie": 0x3F817FFF,
    "bf16 tie, negative": 0xBF818000,
    "bf16 carry into the exponent": 0x3FFFFFFF,
    "bf16 overflow to infinity": 0x7F7F8000,
    "largest finite bf16": 0x7F7F0000,
    "just below bf16 overflow": 0x7F7F7FFF,
    "bf16 subnormal tie, down": 0x00008000,
    "bf16 subnormal tie, up": 0x00018000,
    "f16 tie, down to even": 0x3F801000,
    "f16 tie, up to even": 0x3F803000,
    "just above an f16 tie": 0x3F801001,
    "just below an f16 tie": 0x3F802FFF,
    "largest finite f16 (65504)": 0x477FE000,
    "just below f16 overflow": 0x477FEFFF,
    "f16 overflow to infinity (65520)": 0x477FF000,
    "smallest normal f16": 0x38800000,
    "largest subnormal f16": 0x387FC000,
    "between subnormal and normal f16": 0x387FF000,
    "smallest subnormal f16": 0x33800000,
    "half the smallest f16, a tie down to zero": 0x33000000,
    "just above half the smallest f16": 0x33000001,
    "f16 subnormal tie, up": 0x33C00000,
    "f16 subnormal tie, down": 0x34200000,
    "f16 underflow to minus zero": 0x82000000,
}
# Rounding must not turn these into infinity: only "a NaN" is expected, not its bits.
NANS = [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7F808000, 0x7FFFFFFF, 0xFFFFFFFF]


def bits_to_float(bits: list[int]) -> torch.Tensor:
    signed = [b - (1 << 32) if b >> 31 else b for b in bits]
    return torch.tensor(signed, dtype=torch.int32).view(torch.float32)


def rounded(bits: list[int], dtype: torch.dtype) -> list[int]:
    return [b & 0xFFFF for b in bits_to_float(bits).to(dtype).view(torch.int16).tolist()]


def widened(bits: list[int], dtype: torch.dtype) -> list[int]:
    signed = [b - (1 << 16) if b >> 15 else b for b in bits]
    wide = torch.tensor(signed, dtype=torch.int16).view(dtype).float()
    return [b & 0xFFFFFFFF for b in wide.view(torch.int32).tolist()]


def random_bits() -> list[int]:
    """Any finite exponent, and the range of f16 once more."""
    generator = torch.Generator().manual_seed(11)
    anything = torch.randint(0, 1 << 32, (120,), generator=generator).tolist()
    middle = (torch.randint(0x33000000, 0x47800000, (120,), generator=generator)).tolist()
    return [b for b in anything + middle if (b >> 23) & 0xFF != 0xFF]


if __name__ == "__main__":
    bits = list(NAMED.values()) + random_bits()
    names = list(NAMED) + [None] * (len(bits) - len(NAMED))
    to_bf16, to_f16 = rounded(bits, torch.bfloat16), rounded(bits, torch.float16)
    for dtype, limit in ((torch.bfloat16, 0x7F80), (torch.float16, 0x7C00)):
        assert all(b & 0x7FFF > limit for b in rounded(NANS, dtype))
    narrow = [
        0x0000,
        0x8000,
        0x0001,
        0x8001,
        0x0002,
        0x03FF,
        0x0400,
        0x3C00,
        0x7BFF,
        0x7C00,
        0xFC00,
        0x1234,
        0xABCD,
        0x007F,
        0x0080,
    ]
    vectors = [
        {"float32": b, "bf16": x, "f16": y} | ({"what": n} if n else {})
        for b, x, y, n in zip(bits, to_bf16, to_f16, names)
    ]
    back = [
        {"bits": b, "fromBf16": x, "fromF16": y}
        for b, x, y in zip(narrow, widened(narrow, torch.bfloat16), widened(narrow, torch.float16))
    ]
    value = {
        "made": {"by": "make_rounding.py", "torch": torch.__version__},
        "rounding": vectors,
        "nans": NANS,
        "widening": back,
    }
    save_json("bf16", value)
    print(f"rounding: {len(vectors)} numbers, {len(NANS)} NaNs, {len(back)} back")
