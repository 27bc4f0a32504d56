"""AdamW with 8-bit moments: the dynamic maps, and a trajectory, from bitsandbytes' formulas.

`create_dynamic_map` is bitsandbytes' function of that name, line by line; when the package is installed it is
compared with it. The step is that of its CPU and GPU kernels (blocks, largest magnitude, nearest entry), with the one
change that a positive second moment never becomes 0. adamw8bit.safetensors holds map.signed, map.unsigned [256],
initial, gradients [steps, …], parameter [recorded steps, …], and codes.* and scales.* after the last step.
"""

import torch

from fixture import save_json, save_tensors

Tensor = torch.Tensor
SHAPE, BLOCK, STEPS = (13, 41), 256, 20
RECORDED = [1, 2, 5, 10, 20]
OPTIONS = dict(lr=0.01, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1)


def create_dynamic_map(signed: bool = True, max_exponent_bits: int = 7, total_bits: int = 8) -> Tensor:
    data: list[float] = []
    non_sign_bits = total_bits - 1
    for i in range(max_exponent_bits):
        power = i + non_sign_bits - max_exponent_bits
        fraction_items = int(2**power + 1 if signed else 2 ** (power + 1) + 1)
        boundaries = torch.linspace(0.1, 1, fraction_items, dtype=torch.float32)
        means = (boundaries[:-1] + boundaries[1:]) / 2.0
        data += ((10 ** (-(max_exponent_bits - 1) + i)) * means).tolist()
        if signed:
            data += (-(10 ** (-(max_exponent_bits - 1) + i)) * means).tolist()
    data += [0, 1.0]
    assert len(data) == 2**total_bits
    return torch.tensor(sorted(data), dtype=torch.float32)


def compare_with_bitsandbytes(signed: bool, ours: Tensor) -> str:
    try:
        from bitsandbytes.functional import create_dynamic_map as theirs
    except ImportError:
        return "bitsandbytes is not installed"
    assert torch.equal(theirs(signed=signed), ours)
    return "equal to bitsandbytes"


def blocks_of(x: Tensor) -> Tensor:
    flat = x.flatten()
    return torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).reshape(-1, BLOCK)


def pack(x: Tensor, code_map: Tensor) -> tuple[Tensor, Tensor]:
    scales = x.abs().amax(1, keepdim=True)
    unit = torch.where(scales > 0, x / scales, torch.zeros_like(x))
    return (unit.unsqueeze(-1) - code_map.to(x.dtype)).abs().argmin(-1), scales


def main() -> None:
    generator = torch.Generator().manual_seed(8)
    initial = torch.randn(SHAPE, generator=generator)
    # Sizes that differ by many decades inside of a block: what the map is for.
    sizes = torch.exp(2 * torch.randn(SHAPE, generator=generator))
    gradients = torch.randn(STEPS, *SHAPE, generator=generator) * sizes * 0.1
    maps = {signed: create_dynamic_map(signed) for signed in (True, False)}
    exact = {signed: code_map.double() for signed, code_map in maps.items()}

    parameter = initial.double()
    rows = blocks_of(parameter).shape[0]
    codes = {signed: torch.zeros(rows, BLOCK, dtype=torch.int64) for signed in maps}
    scales = {signed: torch.zeros(rows, 1, dtype=torch.float64) for signed in maps}
    lr, beta1, beta2 = OPTIONS["lr"], OPTIONS["beta1"], OPTIONS["beta2"]
    recorded = []
    for step in range(1, STEPS + 1):
        g = blocks_of(gradients[step - 1].double())
        m = beta1 * exact[True][codes[True]] * scales[True] + (1 - beta1) * g
        v = beta2 * exact[False][codes[False]] * scales[False] + (1 - beta2) * g * g
        update = lr / (1 - beta1**step) * m / ((v / (1 - beta2**step)).sqrt() + OPTIONS["eps"])
        parameter = parameter * (1 - lr * OPTIONS["weight_decay"])
        parameter = parameter - update.flatten()[: parameter.numel()].reshape(SHAPE)
        codes[True], scales[True] = pack(m, exact[True])
        codes[False], scales[False] = pack(v, exact[False])
        codes[False] = torch.where((v > 0) & (codes[False] == 0), 1, codes[False])
        if step in RECORDED:
            recorded.append(parameter.clone())

    checked = {compare_with_bitsandbytes(signed, code_map) for signed, code_map in maps.items()}
    tensors = {"map.signed": maps[True], "map.unsigned": maps[False], "initial": initial, "gradients": gradients}
    tensors |= {"parameter": torch.stack(recorded)}
    tensors |= {"codes.first": codes[True].float(), "codes.second": codes[False].float()}
    tensors |= {"scales.first": scales[True].flatten(), "scales.second": scales[False].flatten()}
    save_tensors("adamw8bit", tensors)
    made = {"by": "make_adamw8bit.py", "torch": torch.__version__}
    save_json("adamw8bit", {"made": made, "steps": STEPS, "recorded": RECORDED, "block": BLOCK, "options": OPTIONS})
    print(f"adamw8bit: {STEPS} steps; maps: {', '.join(checked)}")


if __name__ == "__main__":
    main()
