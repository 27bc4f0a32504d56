"""Trajectories of two parameters over 100 steps with given gradients, for each optimizer.

Everything is computed in float64 from float32 inputs; optimizers.json gives for each run how far the same run in
float32 ends up (relative to the largest value). optimizers.safetensors holds initial.*, gradients.* [steps, …] and
RUN/*  [recorded steps, …]. Runs with `clip` also have RUN/norm [steps], the global norm before clipping.
"""

import math

import torch

from fixture import relative_error, save_json, save_tensors

Tensor = torch.Tensor
STEPS = 100
RECORDED = [1, 2, 3, 5, 10, 20, 50, 100]
SHAPES = {"tall": (7, 5), "wide": (6, 16)}
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class PlainMuon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) with AdamW's update size (Liu et al. 2025, arXiv:2502.16982) and decoupled decay."""

    def __init__(self, parameters, lr: float, momentum: float, weight_decay: float):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.mul_(momentum).add_(p.grad)
                update = orthogonalize(p.grad + momentum * buffer)  # Nesterov
                p.mul_(1 - lr * group["weight_decay"])
                p.sub_(lr * 0.2 * math.sqrt(max(p.shape)) * update)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Five Newton–Schulz steps push the singular values towards 1; the shorter side comes first."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


ADAMW = dict(lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
RUNS = {
    "adamw": (torch.optim.AdamW, ADAMW, None),
    "adamw-no-decay": (torch.optim.AdamW, dict(lr=0.003, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0), None),
    "adamw-clipped": (torch.optim.AdamW, ADAMW, 1.0),
    "sgd": (torch.optim.SGD, dict(lr=0.05), None),
    "sgd-momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9), None),
    "sgd-nesterov": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True), None),
    "sgd-decay-clipped": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, weight_decay=0.01), 1.0),
    "muon": (PlainMuon, dict(lr=0.02, momentum=0.95, weight_decay=0.1), None),
    "muon-clipped": (PlainMuon, dict(lr=0.02, momentum=0.95, weight_decay=0.1), 1.0),
}


def inputs() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients whose global norm wanders around 1, so that clipping acts in some steps and not in others."""
    generator = torch.Generator().manual_seed(3)
    initial = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    sizes = 0.1 * torch.exp(torch.randn(STEPS, 1, 1, generator=generator))
    drift = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    noise = {name: torch.randn(STEPS, *shape, generator=generator) for name, shape in SHAPES.items()}
    return initial, {name: sizes * (0.5 * drift[name] + noise[name]) for name in SHAPES}


def trajectory(optimizer_class, options: dict, clip: float | None, dtype: torch.dtype) -> dict[str, Tensor]:
    initial, gradients = inputs()
    parameters = {name: initial[name].to(dtype).requires_grad_() for name in SHAPES}
    optimizer = optimizer_class(list(parameters.values()), **options)
    recorded: dict[str, list[Tensor]] = {name: [] for name in SHAPES}
    norms = []
    for step in range(1, STEPS + 1):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][step - 1].to(dtype)
        if clip is not None:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), clip))
        optimizer.step()
        if step in RECORDED:
            for name, parameter in parameters.items():
                recorded[name].append(parameter.detach().clone())
    result = {name: torch.stack(values) for name, values in recorded.items()}
    return result | ({"norm": torch.stack(norms)} if norms else {})


def compare_muon_with_torch() -> str:
    """torch has Muon since 2.9, in bfloat16; without that cast it must give the same numbers."""
    if not hasattr(torch.optim, "Muon"):
        return f"torch {torch.__version__} has no Muon"
    options = RUNS["muon"][1]
    cast, torch.Tensor.bfloat16 = torch.Tensor.bfloat16, lambda self: self.clone()
    try:
        theirs = trajectory(torch.optim.Muon, options | {"adjust_lr_fn": "match_rms_adamw"}, None, torch.float64)
    finally:
        torch.Tensor.bfloat16 = cast
    ours = trajectory(PlainMuon, options, None, torch.float64)
    error = max(relative_error(ours[name], theirs[name]) for name in SHAPES)
    assert error < 1e-9, error
    return f"torch.optim.Muon of torch {torch.__version__} in float64: {error:.0e}"


def main() -> None:
    initial, gradients = inputs()
    tensors = {f"initial.{name}": t for name, t in initial.items()} | {
        f"gradients.{name}": t for name, t in gradients.items()
    }
    runs = []
    for name, (optimizer_class, options, clip) in RUNS.items():
        exact = trajectory(optimizer_class, options, clip, torch.float64)
        rough = trajectory(optimizer_class, options, clip, torch.float32)
        error = max(relative_error(rough[part], exact[part]) for part in exact)
        assert error < 1e-5, (name, error)
        tensors |= {f"{name}/{part}": t for part, t in exact.items()}
        kind = "Muon" if optimizer_class is PlainMuon else optimizer_class.__name__
        runs.append({"name": name, "optimizer": kind, "options": options, "clip": clip, "distanceOfFloat32": error})
    save_tensors("optimizers", tensors)
    made = {"by": "make_optimizers.py", "torch": torch.__version__, "muon": compare_muon_with_torch()}
    save_json(
        "optimizers",
        {"made": made, "steps": STEPS, "recorded": RECORDED, "parameters": list(SHAPES), "runs": runs},
    )
    print(
        f"optimizers: {len(runs)} runs, float32 within {max(run['distanceOfFloat32'] for run in runs):.0e}; {made['muon']}"
    )


if __name__ == "__main__":
    main()
