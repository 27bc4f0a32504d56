"""The weights of linear layers stored in GPTQ's or AWQ's layout, as GPTQModel (7.7, on a CPU) makes them of the files.

    python gptqmodel_weights.py FOLDER OUT_FOLDER      every directory in FOLDER, to OUT_FOLDER/NAME.safetensors

The result has MODULE.weight f32 [rows, columns] for every module with a `qweight`. GPTQModel is not in requirements.txt: it wants
to be installed with --no-deps --no-build-isolation beside the pinned torch.
"""

import json
import sys
from pathlib import Path

import torch
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module
from safetensors.torch import load_file, save_file


def gptq_weight(config: dict, base: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    columns, rows = tensors[f"{base}.g_idx"].shape[0], tensors[f"{base}.scales"].shape[1]
    layer = TorchLinear(
        bits=config["bits"],
        group_size=config["group_size"],
        sym=config["sym"],
        desc_act=config["desc_act"],
        in_features=columns,
        out_features=rows,
        bias=False,
    )
    for name in ("qweight", "qzeros", "scales", "g_idx"):
        expected, stored = getattr(layer, name), tensors[f"{base}.{name}"]
        assert expected.shape == stored.shape and expected.dtype == stored.dtype, (base, name, expected.shape, stored.shape)
        setattr(layer, name, stored)
    if config["checkpoint_format"] == "gptq":
        convert_gptq_v1_to_v2_format_module(layer, config["bits"], torch.int32)
    layer.scales = layer.scales.float()
    return layer.eval().dequantize_weight().T


def awq_weight(config: dict, base: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    packed = [tensors[f"{base}.{name}"] for name in ("qweight", "qzeros", "scales")]
    packed[2] = packed[2].float()
    return dequantize_gemm(*packed, config["bits"], config["group_size"]).T


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for directory in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        config = json.loads((directory / "config.json").read_text())["quantization_config"]
        tensors = load_file(directory / "model.safetensors")
        weight_of = {"gptq": gptq_weight, "awq": awq_weight}[config["quant_method"]]
        bases = [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]
        weights = {f"{base}.weight": weight_of(config, base, tensors).float().contiguous() for base in bases}
        save_file(weights, Path(sys.argv[2]) / f"{directory.name}.safetensors")


if __name__ == "__main__":
    main()
