"""GPTQ, SparseGPT and Wanda on one random layer, by the published formulas: inverse of the damped Hessian, its upper
Cholesky factor, then column by column (Frantar et al. 2022 and 2023, Sun et al. 2023). In f64: what f32 rounds
differently shows as single codes."""

import torch

from fixture import save_json, save_tensors

ROWS, COLUMNS, SAMPLES = 16, 160, 300
BLOCK = 128

GPTQ = {
    "int4-g32": {"bits": 4, "group": 32, "zero_point": False, "act_order": False},
    "int4-g128": {"bits": 4, "group": 128, "zero_point": False, "act_order": False},
    "int4-g64-zero": {"bits": 4, "group": 64, "zero_point": True, "act_order": False},
    "int3-g40": {"bits": 3, "group": 40, "zero_point": False, "act_order": True},
    "int2-g32-zero": {"bits": 2, "group": 32, "zero_point": True, "act_order": True},
    "int8-g160": {"bits": 8, "group": 160, "zero_point": False, "act_order": False},
}
SPARSE = {"0.5": (0.5, None), "0.25": (0.25, None), "2:4": (None, (2, 4)), "4:8": (None, (4, 8))}


def inverse_factor(gram: torch.Tensor, damping: float = 0.01) -> torch.Tensor:
    hessian = gram.clone()
    diagonal = hessian.diagonal()
    diagonal += damping * diagonal.mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    return torch.linalg.cholesky(inverse, upper=True)


def grid(values: torch.Tensor, bits: int, zero_point: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero point of each row of a group."""
    last = 2**bits - 1
    low = values.min(1).values.clamp(max=0)
    high = values.max(1).values.clamp(min=0)
    if not zero_point:
        high = torch.maximum(-low, high)
        low = -high
    scale = (high - low) / last
    scale[scale == 0] = 1
    zero = torch.round(-low / scale) if zero_point else torch.full_like(scale, 2 ** (bits - 1))
    return scale, zero


def gptq(weight: torch.Tensor, gram: torch.Tensor, bits: int, group: int, zero_point: bool, act_order: bool):
    order = torch.argsort(gram.diagonal(), descending=True, stable=True) if act_order else torch.arange(COLUMNS)
    left = weight[:, order].clone()
    factor = inverse_factor(gram[order][:, order])
    last = 2**bits - 1
    groups = -(-COLUMNS // group)
    scales, zeros = torch.ones(ROWS, groups, dtype=weight.dtype), torch.zeros(ROWS, groups, dtype=weight.dtype)
    for g in range(groups):
        scales[:, g], zeros[:, g] = grid(weight[:, g * group : (g + 1) * group], bits, zero_point)
    codes = torch.zeros(ROWS, COLUMNS, dtype=torch.long)
    for start in range(0, COLUMNS, BLOCK):
        end = min(start + BLOCK, COLUMNS)
        block = left[:, start:end].clone()
        errors = torch.zeros_like(block)
        for i in range(end - start):
            column = int(order[start + i])
            g = column // group
            if not act_order and column % group == 0:
                scales[:, g], zeros[:, g] = grid(left[:, column : column + group], bits, zero_point)
            scale, zero = scales[:, g], zeros[:, g]
            code = torch.clamp(torch.round(block[:, i] / scale) + zero, 0, last)
            codes[:, column] = code.long()
            error = (block[:, i] - (code - zero) * scale) / factor[start + i, start + i]
            block[:, i:] -= error[:, None] * factor[start + i, start + i : end][None]
            errors[:, i] = error
        left[:, end:] -= errors @ factor[start:end, end:]
    return codes, scales, zeros


def sparse_gpt(weight: torch.Tensor, gram: torch.Tensor, sparsity: float | None, pattern: tuple[int, int] | None):
    left = weight.clone()
    factor = inverse_factor(gram)
    for start in range(0, COLUMNS, BLOCK):
        end = min(start + BLOCK, COLUMNS)
        block = left[:, start:end].clone()
        chosen = torch.zeros_like(block)
        errors = torch.zeros_like(block)
        diagonal = factor.diagonal()[start:end]
        drop = torch.zeros_like(block, dtype=torch.bool)
        if pattern is None:
            scores = (block / diagonal) ** 2
            drop = scores <= scores.flatten().sort().values[int(scores.numel() * sparsity) - 1]
        for i in range(end - start):
            if pattern and i % pattern[1] == 0:
                scores = (block[:, i : i + pattern[1]] / diagonal[i : i + pattern[1]]) ** 2
                lowest = scores.topk(pattern[1] - pattern[0], largest=False).indices
                drop[:, i : i + pattern[1]] = drop[:, i : i + pattern[1]].scatter(1, lowest, True)
            chosen[:, i] = torch.where(drop[:, i], 0, block[:, i])
            error = (block[:, i] - chosen[:, i]) / diagonal[i]
            block[:, i:] -= error[:, None] * factor[start + i, start + i : end][None]
            errors[:, i] = error
        left[:, start:end] = chosen
        left[:, end:] -= errors @ factor[start:end, end:]
    return left


def wanda(weight: torch.Tensor, squares: torch.Tensor, sparsity: float | None, pattern: tuple[int, int] | None):
    scores = weight.abs() * squares.sqrt()
    if pattern is None:
        lowest = scores.argsort(1)[:, : int(COLUMNS * sparsity)]
        return torch.zeros_like(weight, dtype=torch.bool).scatter(1, lowest, True)
    grouped = scores.reshape(ROWS, -1, pattern[1])
    lowest = grouped.topk(pattern[1] - pattern[0], largest=False).indices
    return torch.zeros_like(grouped, dtype=torch.bool).scatter(2, lowest, True).reshape(ROWS, COLUMNS)


def squared_error(weight: torch.Tensor, changed: torch.Tensor, gram: torch.Tensor) -> float:
    return float((((changed - weight) @ gram) * (changed - weight)).sum())


def main() -> None:
    torch.manual_seed(11)
    weight = (torch.randn(ROWS, COLUMNS) * 0.1).double()
    # Correlated inputs of very different sizes, as layers have them.
    mixing = torch.randn(COLUMNS, COLUMNS) / COLUMNS**0.5 + torch.eye(COLUMNS)
    inputs = ((torch.randn(SAMPLES, COLUMNS) @ mixing) * torch.exp(torch.randn(COLUMNS))).double()
    gram = (inputs.T @ inputs).float().double()
    weight = weight.float().double()
    tensors = {"weight": weight, "gram": gram}
    errors = {}
    for name, options in GPTQ.items():
        codes, scales, zeros = gptq(weight, gram, **options)
        group = torch.arange(COLUMNS) // options["group"]
        changed = (codes - zeros[:, group]) * scales[:, group]
        tensors |= {f"gptq.{name}.codes": codes, f"gptq.{name}.scales": scales}
        errors[f"gptq.{name}"] = squared_error(weight, changed, gram)
    for name, (sparsity, pattern) in SPARSE.items():
        changed = sparse_gpt(weight, gram, sparsity, pattern)
        tensors[f"sparse-gpt.{name}"] = changed
        errors[f"sparse-gpt.{name}"] = squared_error(weight, changed, gram)
        tensors[f"wanda.{name}.dropped"] = wanda(weight, gram.diagonal(), sparsity, pattern).int()
    save_tensors("calibration", tensors)
    save_json("calibration", {"gptq": GPTQ, "errors": errors})


if __name__ == "__main__":
    main()
