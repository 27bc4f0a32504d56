"""Writes fixtures: tensors to NAME.safetensors, everything else to NAME.json."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "fixtures"


def path_of(file: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    return FOLDER / file


def save_tensors(name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Floats become f32, int8 stays, other integers become i32: what a JavaScript typed array can hold."""
    save_file({key: narrow(tensor) for key, tensor in sorted(tensors.items())}, path_of(f"{name}.safetensors"))


def narrow(tensor: torch.Tensor) -> torch.Tensor:
    kept = torch.int8 if tensor.dtype == torch.int8 else torch.int32
    dtype = torch.float32 if tensor.is_floating_point() else kept
    return tensor.detach().to(dtype).contiguous().clone()


def save_json(name: str, value: object, columns: int = 2) -> None:
    """One line per entry below the given depth, so that a changed value is a small diff."""
    path_of(f"{name}.json").write_text(render(value, columns) + "\n")


def render(value: object, depth: int, indent: str = "") -> str:
    if depth == 0 or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, allow_nan=False)
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {render(item, depth - 1, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + render(item, depth - 1, inner) for item in value) + f"\n{indent}]"


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the largest expected magnitude."""
    got, expected = got.detach(), expected.detach()
    scale = expected.double().abs().max().clamp_min(1e-30)
    return float((got.double() - expected.double()).abs().max() / scale)


def use_older_layout(folder: Path) -> None:
    """Rewrites config.json as transformers 4 did: rope_theta and rope_scaling instead of rope_parameters."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    parameters = config.pop("rope_parameters")
    if "full_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
