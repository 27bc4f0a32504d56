"""
Linear layers quantised by other tools, with the weights that those tools make of them again: compressed-tensors and
bitsandbytes by their own libraries; GPTQ and AWQ, whose libraries need a GPU, by readers written here from the
descriptions of the formats (AutoGPTQ's `qlinear_cuda_old`, AutoAWQ's `packing_utils` and `gemm`).

quantized.safetensors: tensors `CASE.layer.*` as a checkpoint has them, and `CASE.expected` f32 [rows, columns].
quantized.json: for each case its `quantization_config` and shape.
"""

import json

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file, save_file

from fixture import path_of, save_json

torch.manual_seed(7)
ROWS, COLUMNS = 32, 96
tensors: dict[str, torch.Tensor] = {}
cases: dict[str, dict] = {}


def add(case: str, config: dict, layer: dict[str, torch.Tensor], expected: torch.Tensor) -> None:
    for name, tensor in layer.items():
        tensors[f"{case}.layer.{name}"] = tensor.detach().contiguous().clone()
    tensors[f"{case}.expected"] = expected.detach().float().contiguous().clone()
    cases[case] = {"shape": list(expected.shape), "config": config}


# --- compressed-tensors ---


def compressed(case: str, format: str, dtype=torch.bfloat16, rows=ROWS, columns=COLUMNS, order=False, **weights) -> None:
    args = QuantizationArgs(**weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    weight = torch.randn(rows, columns, dtype=dtype)
    layer: dict[str, torch.Tensor] = {"weight": weight}
    groups = groups_of(weight, args)
    if order:
        g_idx = (torch.randperm(columns) // args.group_size).to(torch.int32)
        layer["weight_g_idx"] = g_idx
        groups = weight[:, torch.argsort(g_idx, stable=True)].reshape(rows, -1, args.group_size)
    low, high = groups.amin(-1), groups.amax(-1)
    scale, zero = calculate_qparams(low, high, args)
    layer["weight_scale"] = scale.to(dtype)
    layer["weight_zero_point"] = zero
    compressor = BaseCompressor.get_value_from_registry(format)
    stored = compressor.compress(layer, scheme)
    expected = compressor.decompress(stored, scheme)["weight"]
    group = {"targets": ["Linear"], "weights": args.model_dump(mode="json"), "input_activations": None}
    config = {
        "quant_method": "compressed-tensors",
        "format": format,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }
    # What the library computes in bf16 is rounded once more than the format says: the exact product is what counts.
    add(case, config, stored, exact(stored, args, expected))


def groups_of(weight: torch.Tensor, args: QuantizationArgs) -> torch.Tensor:
    rows, columns = weight.shape
    if args.strategy == "tensor":
        return weight.reshape(1, -1)
    if args.strategy == "channel":
        return weight.reshape(rows, 1, columns)
    if args.strategy == "block":
        height, width = args.block_structure
        padded = torch.zeros(-(-rows // height) * height, -(-columns // width) * width, dtype=weight.dtype)
        padded[:rows, :columns] = weight
        blocks = padded.reshape(-1, height, padded.shape[1] // width, width)
        return blocks.permute(0, 2, 1, 3).reshape(blocks.shape[0], blocks.shape[2], -1)
    return weight.reshape(rows, -1, args.group_size)


def exact(stored: dict[str, torch.Tensor], args: QuantizationArgs, library: torch.Tensor) -> torch.Tensor:
    """The library's result with scales in f32; checked to be the library's own up to its rounding."""
    wide = {name: t.float() if name == "weight_scale" else t for name, t in stored.items()}
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    format = "pack-quantized" if "weight_packed" in stored else "naive-quantized"
    result = BaseCompressor.get_value_from_registry(format).decompress(wide, scheme)["weight"].float()
    torch.testing.assert_close(result, library.float(), rtol=1e-2, atol=1e-6)
    return result


integer = {"type": "int", "symmetric": True}
compressed("ct-int4-group", "pack-quantized", num_bits=4, strategy="group", group_size=32, **integer)
compressed("ct-int4-f16", "pack-quantized", torch.float16, num_bits=4, strategy="group", group_size=32, **integer)
compressed("ct-int4-zero", "pack-quantized", num_bits=4, strategy="group", group_size=32, type="int", symmetric=False)
compressed("ct-int4-channel", "pack-quantized", num_bits=4, strategy="channel", **integer)
compressed("ct-int8-group", "pack-quantized", num_bits=8, strategy="group", group_size=48, **integer)
compressed("ct-int4-order", "pack-quantized", order=True, num_bits=4, strategy="group", group_size=32, actorder="group", **integer)
compressed("ct-w8-channel", "int-quantized", num_bits=8, strategy="channel", **integer)
compressed("ct-w8-tensor", "int-quantized", num_bits=8, strategy="tensor", **integer)
compressed("ct-w8-zero", "int-quantized", num_bits=8, strategy="channel", type="int", symmetric=False)
compressed("ct-fp8-tensor", "float-quantized", num_bits=8, type="float", strategy="tensor", symmetric=True)
compressed("ct-fp8-channel", "float-quantized", num_bits=8, type="float", strategy="channel", symmetric=True)
compressed("ct-fp8-block", "float-quantized", rows=128, columns=256, num_bits=8, type="float", strategy="block", block_structure=[128, 128], symmetric=True)


# --- GPTQ: codes [columns, rows] as one stream of bits down the columns, zero points along the rows ---


def stream(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Integers [n, m] → int32 [n · bits / 32, m]: lowest bits first, codes run on across words."""
    n, m = codes.shape
    words = torch.zeros(n * bits // 32, m, dtype=torch.int64)
    for i in range(n):
        for b in range(bits):
            bit = i * bits + b
            words[bit // 32] |= ((codes[i].long() >> b) & 1) << (bit % 32)
    return (words - ((words >> 31) << 32)).to(torch.int32)


def gptq(case: str, bits: int, group: int, version: str = "gptq", act_order: bool = False) -> None:
    size = group if group > 0 else COLUMNS
    groups = -(-COLUMNS // size)
    codes = torch.randint(0, 2**bits, (COLUMNS, ROWS))
    zeros = torch.randint(1, 2**bits, (groups, ROWS))
    scales = (torch.rand(groups, ROWS) / 2**bits + 1e-3).half()
    g_idx = (torch.randperm(COLUMNS) if act_order else torch.arange(COLUMNS)) // size
    expected = scales.float()[g_idx] * (codes - zeros[g_idx]).float()
    stored = zeros - 1 if version == "gptq" else zeros
    layer = {
        "qweight": stream(codes, bits),
        "qzeros": stream(stored.T, bits).T,
        "scales": scales,
        "g_idx": g_idx.to(torch.int32),
    }
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "checkpoint_format": version}
    add(case, config, layer, expected.T)


gptq("gptq-4", 4, 32)
gptq("gptq-4-v2", 4, 32, version="gptq_v2")
gptq("gptq-4-order", 4, 32, act_order=True)
gptq("gptq-3", 3, 32)
gptq("gptq-2", 2, 48)
gptq("gptq-8-all", 8, -1)


# --- AWQ: eight neighbouring rows to a word, in the order that the GPU kernel wants ---


def awq(case: str, group: int) -> None:
    def pack(values: torch.Tensor) -> torch.Tensor:
        words = torch.zeros(values.shape[0], ROWS // 8, dtype=torch.int64)
        for i, row in enumerate([0, 2, 4, 6, 1, 3, 5, 7]):
            words |= values[:, row::8].long() << (4 * i)
        return (words - ((words >> 31) << 32)).to(torch.int32)

    codes = torch.randint(0, 16, (COLUMNS, ROWS))
    zeros = torch.randint(0, 16, (COLUMNS // group, ROWS))
    scales = (torch.rand(COLUMNS // group, ROWS) / 16 + 1e-3).half()
    g_idx = torch.arange(COLUMNS) // group
    expected = scales.float()[g_idx] * (codes - zeros[g_idx]).float()
    layer = {"qweight": pack(codes), "qzeros": pack(zeros), "scales": scales}
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    add(case, config, layer, expected.T)


awq("awq", 32)


# --- bitsandbytes (0.50.2; without it what the committed fixture has is kept) ---


def nf4(case: str, nested: bool) -> None:
    weight = torch.randn(ROWS, 128)  # bitsandbytes 0.50 unpacks rows that are not whole blocks wrongly on a CPU
    codes, state = bnb.quantize_4bit(weight, quant_type="nf4", blocksize=64, compress_statistics=nested)
    layer = {"weight": codes} | {f"weight.{name}": t for name, t in state.as_dict(packed=True).items()}
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": nested}
    add(case, config, layer, bnb.dequantize_4bit(codes, state))


def int8(case: str) -> None:
    codes, largest, _ = bnb.int8_vectorwise_quant(torch.randn(ROWS, COLUMNS, dtype=torch.float16))
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    add(case, config, {"weight": codes, "SCB": largest}, bnb.int8_vectorwise_dequant(codes, largest).float())


try:
    import bitsandbytes.functional as bnb

    nf4("bnb-nf4", False)
    nf4("bnb-nf4-nested", True)
    int8("bnb-int8")
except ImportError:
    committed = json.loads(path_of("quantized.json").read_text())
    cases |= {case: entry for case, entry in committed.items() if case.startswith("bnb-")}
    stored = load_file(path_of("quantized.safetensors"))
    tensors |= {name: tensor for name, tensor in stored.items() if name.startswith("bnb-")}

# --- odd shapes, after all others: their random numbers move nothing ---

torch.manual_seed(8)


def integers(case: str, bits: int, strategy: str, symmetric: bool, rows: int, columns: int, **more) -> None:
    compressed(case, "pack-quantized", rows=rows, columns=columns, num_bits=bits, type="int", strategy=strategy, symmetric=symmetric, **more)


# Rows and columns that do not fill words.
integers("odd-int4-channel", 4, "channel", True, 13, 45)
integers("odd-int4-channel-zero", 4, "channel", False, 13, 45)
integers("odd-int4-tensor", 4, "tensor", True, 13, 45)
integers("odd-int4-group-zero", 4, "group", False, 13, 60, group_size=20)
integers("odd-int8-channel", 8, "channel", True, 13, 45)
integers("odd-int8-group-zero", 8, "group", False, 7, 36, group_size=12)
integers("odd-int2-group", 2, "group", True, 13, 60, group_size=20)
integers("odd-int3-group", 3, "group", True, 13, 60, group_size=20)
integers("odd-int4-order-zero", 4, "group", False, 13, 60, group_size=20, order=True, actorder="group")
integers("odd-int4-weight-order", 4, "group", True, 13, 60, group_size=20, actorder="weight")
w8 = {"num_bits": 8, "type": "int"}
compressed("odd-w8-tensor-zero", "int-quantized", rows=13, columns=45, strategy="tensor", symmetric=False, **w8)
compressed("odd-w8-group", "int-quantized", rows=13, columns=60, strategy="group", group_size=20, symmetric=True, **w8)
compressed("odd-w8-group-zero", "int-quantized", rows=13, columns=60, strategy="group", group_size=20, symmetric=False, **w8)
fp8 = {"num_bits": 8, "type": "float", "symmetric": True}
compressed("odd-fp8-channel", "float-quantized", rows=13, columns=45, strategy="channel", **fp8)
compressed("odd-fp8-f16", "float-quantized", torch.float16, rows=13, columns=45, strategy="tensor", **fp8)
gptq("odd-gptq-3-order", 3, 32, act_order=True)
gptq("odd-gptq-8-order-v2", 8, 24, version="gptq_v2", act_order=True)
gptq("odd-gptq-2-order", 2, 16, act_order=True)
gptq("odd-gptq-4-rest", 4, 64)
gptq("odd-gptq-4-rest-order", 4, 64, act_order=True)
gptq("odd-gptq-mislabelled", 4, 32, act_order=True)
cases["odd-gptq-mislabelled"]["config"]["desc_act"] = False  # readers of GPTQ follow g_idx, whatever this says
awq("odd-awq-all", COLUMNS)
awq("odd-awq-16", 16)

save_file(dict(sorted(tensors.items())), path_of("quantized.safetensors"))
save_json("quantized", cases)
