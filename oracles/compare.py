"""Compares fixtures made just now with the committed ones: one line per file, exit code 1 when one differs.

    python compare.py NEW_ROOT COMMITTED_ROOT

Floats may differ by TOLERANCE of the largest value (another processor sums in another order); integers, names,
shapes and types may not. A number among others of its kind may be as far off as the largest of them is rounded. Notes
about the making (versions, measured rounding errors) are not compared.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

TOLERANCE = 2e-5
NOTES = {"made", "greedyMargin", "distanceFromFloat64", "distanceOfFloat32"}


def difference(new: torch.Tensor, old: torch.Tensor) -> float:
    """Largest difference over the largest committed magnitude; infinite when the kinds or the non-finite places differ."""
    if new.dtype != old.dtype or new.shape != old.shape:
        return math.inf
    if not old.is_floating_point() or old.element_size() < 4:
        return 0.0 if new.view(-1).view(torch.uint8).equal(old.view(-1).view(torch.uint8)) else math.inf
    if not new.isnan().equal(old.isnan()):
        return math.inf
    finite = old.isfinite()
    if not finite.equal(new.isfinite()) or not new[~finite].nan_to_num().equal(old[~finite].nan_to_num()):
        return math.inf
    if not finite.any():
        return 0.0
    new, old = new[finite].double(), old[finite].double()
    return float((new - old).abs().max() / old.abs().max().clamp_min(1e-30))


def compare_tensors(new: Path, old: Path) -> str:
    with safe_open(new, "pt") as a, safe_open(old, "pt") as b:
        if set(a.keys()) != set(b.keys()):
            raise ValueError(f"other tensors: {sorted(set(a.keys()) ^ set(b.keys()))}")
        errors = {name: difference(a.get_tensor(name), b.get_tensor(name)) for name in b.keys()}
    worst = max(errors, key=errors.__getitem__)
    if errors[worst] > TOLERANCE:
        raise ValueError(f"{worst} differs by {errors[worst]:.1e} of its largest value")
    return f"{len(errors)} tensors, largest difference {errors[worst]:.0e}"


def rounding_of(values: dict[str, object]) -> float:
    """What a value that is zero but for rounding may be beside others of its kind, such as the norms of all gradients."""
    alike = values and all(isinstance(value, float) for value in values.values())
    return 1e-6 * max(abs(value) for value in values.values()) if alike else 0.0


def json_differences(new: object, old: object, path: str = "", rounding: float = 0.0) -> Iterator[str]:
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted((new.keys() | old.keys()) - NOTES):
            yield from json_differences(new.get(key), old.get(key), f"{path}.{key}", rounding_of(old))
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        numbers = bool(old) and all(isinstance(value, float) for value in old)
        rounding = TOLERANCE * max(abs(value) for value in old) if numbers else 0.0  # as of a tensor
        for i, (a, b) in enumerate(zip(new, old)):
            yield from json_differences(a, b, f"{path}[{i}]", rounding)
    elif isinstance(new, float) and isinstance(old, float):
        if not math.isclose(new, old, rel_tol=TOLERANCE, abs_tol=rounding):
            yield f"{path}: {new} instead of {old}"
    elif new != old:
        yield f"{path}: {str(new)[:60]} instead of {str(old)[:60]}"


def compare_json(new: Path, old: Path) -> str:
    found = next(json_differences(json.loads(new.read_text()), json.loads(old.read_text())), None)
    if found:
        raise ValueError(found)
    return "same"


def compare_bytes(new: Path, old: Path) -> str:
    if new.read_bytes() != old.read_bytes():
        raise ValueError("other bytes")
    return "same bytes"


def compare(new: Path, old: Path) -> str:
    if not old.exists():
        raise ValueError("is not committed")
    return {".safetensors": compare_tensors, ".json": compare_json}.get(new.suffix, compare_bytes)(new, old)


def main() -> None:
    new_root, old_root = Path(sys.argv[1]), Path(sys.argv[2])
    failed = False
    for new in sorted(path for path in new_root.rglob("*") if path.is_file()):
        name = new.relative_to(new_root)
        try:
            print(f"ok      {name}: {compare(new, old_root / name)}")
        except ValueError as error:
            failed = True
            print(f"DIFFERS {name}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
