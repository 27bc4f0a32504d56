"""Values and gradients of the fused ops, from torch in float64 on float32 inputs.

ops.json lists the cases. Case NAME of op OP has tensors NAME/in.*, NAME/out.*, and, when it has gradients,
NAME/upstream (the gradient of the first output) and NAME/gradient.* (of the inputs listed). Inputs and outputs
are listed in the order in which the op takes and gives them; packed sequences are flat: q [N, H, D], k and v
[N, K, D], starts [S + 1].
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from fixture import save_json, save_tensors

Tensor = torch.Tensor
generator = torch.Generator().manual_seed(7)
tensors: dict[str, Tensor] = {}
cases: list[dict] = []


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    """Exactly representable in float32, computed with in float64."""
    return (scale * torch.randn(shape, generator=generator)).double()


def add(
    name: str,
    op: str,
    inputs: dict[str, Tensor],
    attributes: dict,
    outputs: dict[str, Tensor],
    gradients: Sequence[str] = (),
) -> None:
    """Records a case; `gradients` names the inputs to differentiate with respect to the first output."""
    upstream = {}
    if gradients:
        first = next(iter(outputs.values()))
        upstream["upstream"] = normal(*first.shape)
        values = torch.autograd.grad(first, [inputs[i] for i in gradients], upstream["upstream"])
        upstream |= {f"gradient.{i}": value for i, value in zip(gradients, values)}
    parts = {f"in.{i}": t for i, t in inputs.items()} | {f"out.{i}": t for i, t in outputs.items()} | upstream
    tensors.update({f"{name}/{part}": t for part, t in parts.items()})
    cases.append(
        {
            "name": name,
            "op": op,
            "attributes": attributes,
            "inputs": list(inputs),
            "outputs": list(outputs),
            "gradients": list(gradients),
        }
    )


def differentiable(
    name: str, op: str, inputs: dict[str, Tensor], attributes: dict, compute: Callable[..., Tensor]
) -> None:
    """A case of one output whose float inputs all have gradients."""
    for t in inputs.values():
        t.requires_grad_()
    add(name, op, inputs, attributes, {"y": compute(*inputs.values())}, list(inputs))


def softmaxes() -> None:
    for shape, scale in (((3, 7), 1.0), ((2, 5, 33), 8.0), ((4, 1), 1.0)):
        label = "x".join(map(str, shape))
        differentiable(f"softmax-{label}", "softmax", {"x": normal(*shape, scale=scale)}, {}, lambda x: x.softmax(-1))
        differentiable(
            f"log-softmax-{label}", "logSoftmax", {"x": normal(*shape, scale=scale)}, {}, lambda x: x.log_softmax(-1)
        )


def activations() -> None:
    differentiable("silu", "silu", {"x": normal(5, 13, scale=4)}, {}, F.silu)
    for approximate in ("none", "tanh"):
        compute = lambda x: F.gelu(x, approximate=approximate)  # noqa: E731
        differentiable(
            f"gelu-{approximate}", "gelu", {"x": normal(5, 13, scale=3)}, {"approximate": approximate}, compute
        )
    gates = {"silu": F.silu, "gelu": F.gelu, "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu}
    for activation, function in gates.items():
        inputs = {"gate": normal(7, 19, scale=2), "up": normal(7, 19)}
        differentiable(
            f"swiglu-{activation}", "swiglu", inputs, {"activation": activation}, lambda gate, up: function(gate) * up
        )


def norms() -> None:
    for shape in ((5, 17), (2, 3, 65)):
        label, width, epsilon = "x".join(map(str, shape)), shape[-1], 1e-5
        inputs = {"x": normal(*shape, scale=3), "weight": 1 + normal(width, scale=0.3)}
        differentiable(
            f"rms-norm-{label}",
            "rmsNorm",
            inputs,
            {"epsilon": epsilon},
            lambda x, w: F.rms_norm(x, [width], w, epsilon),
        )
        inputs = {"x": 2 + normal(*shape, scale=3), "weight": 1 + normal(width, scale=0.3), "bias": normal(width)}
        compute = lambda x, w, b: F.layer_norm(x, [width], w, b, epsilon)  # noqa: E731
        differentiable(f"layer-norm-{label}", "layerNorm", inputs, {"epsilon": epsilon}, compute)
    inputs = {"x": normal(3, 11, scale=1e-3), "weight": 1 + normal(11, scale=0.3)}  # the epsilon outweighs the squares
    differentiable("rms-norm-small", "rmsNorm", inputs, {"epsilon": 1e-4}, lambda x, w: F.rms_norm(x, [11], w, 1e-4))


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool, inverse: bool) -> Tensor:
    """x [N, H, D]; cos, sin [N, R]: the first 2R numbers of each head turn, the rest pass."""
    R = cos.shape[1]
    turned, rest = x[..., : 2 * R], x[..., 2 * R :]
    if interleaved:
        unit = torch.polar(torch.ones_like(cos), torch.atan2(-sin if inverse else sin, cos))[:, None]
        turned = torch.view_as_real(torch.view_as_complex(turned.unflatten(-1, (R, 2))) * unit).flatten(-2)
    else:
        doubled = [torch.cat([t, t], -1)[None] for t in (cos, -sin if inverse else sin)]
        heads_first = turned.transpose(0, 1)[None]  # [1, H, N, 2R]
        turned = apply_rotary_pos_emb(heads_first, heads_first, *doubled)[0][0].transpose(0, 1)
    return torch.cat([turned, rest], -1)


def ropes() -> None:
    N, H, D = 11, 3, 10
    positions = torch.tensor([*range(6), *range(4), 5000], dtype=torch.float64)
    for label, R, interleaved, inverse in (
        ("llama", 5, False, False),
        ("partial", 3, False, False),
        ("interleaved", 5, True, False),
        ("interleaved-partial", 4, True, False),
        ("inverse", 5, False, True),
    ):
        angle = positions[:, None] * 10000.0 ** (-torch.arange(R, dtype=torch.float64) / R)
        x = normal(N, H, D).requires_grad_()
        cos, sin = (t.float().double() for t in (angle.cos(), angle.sin()))
        y = rotate_pairs(x, cos, sin, interleaved, inverse)
        attributes = {"interleaved": interleaved, "inverse": inverse}
        add(f"rope-{label}", "rope", {"x": x, "cos": cos, "sin": sin}, attributes, {"y": y}, ["x"])


def visible(starts: Sequence[int], causal: bool, window: int | None) -> Tensor:
    """Which key [column] each query [row] sees. [N, N]"""
    order = torch.arange(starts[-1])
    sequence = torch.searchsorted(torch.tensor(starts), order, right=True)
    distance = order[:, None] - order
    allowed = sequence[:, None] == sequence
    if causal:
        allowed &= distance >= 0
    if window is not None:
        allowed &= distance.abs() < window
    return allowed


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, cap: float | None) -> tuple[Tensor, Tensor]:
    """Output [N, H, Dv] and log Σ exp of the scores [N, H]; without a cap the output is torch's own."""
    repeats = q.shape[1] // k.shape[1]
    q, k, v = (t.transpose(0, 1) for t in (q, k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)))
    scores = scale * q @ k.mT  # [H, N, N]
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    scores = scores.masked_fill(~mask, -math.inf)
    out = scores.softmax(-1) @ v
    if cap is None:
        own = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        assert torch.allclose(own, out)
        out = own
    return out.transpose(0, 1), scores.logsumexp(-1).T


def attentions() -> None:
    for label, H, K, D, V, starts, causal, window, cap in (
        ("causal", 6, 2, 10, 10, (0, 17), True, None, None),
        ("packed", 6, 2, 10, 10, (0, 5, 6, 17), True, None, None),
        ("window", 6, 2, 10, 10, (0, 17), True, 5, None),
        ("packed-window", 4, 1, 7, 7, (0, 9, 21), True, 5, None),
        ("bidirectional", 3, 3, 9, 9, (0, 13, 19), False, None, None),
        ("bidirectional-window", 3, 3, 9, 9, (0, 19), False, 5, None),
        ("soft-cap", 4, 2, 8, 8, (0, 15), True, None, 2.0),
        ("narrow-values", 4, 2, 12, 5, (0, 15), True, None, None),
        ("long", 2, 1, 16, 16, (0, 131), True, None, None),
    ):
        N, scale = starts[-1], D**-0.5
        inputs = {"q": normal(N, H, D, scale=2), "k": normal(N, K, D, scale=2), "v": normal(N, K, V)}
        for t in inputs.values():
            t.requires_grad_()
        out, total = attend(*inputs.values(), visible(starts, causal, window), scale, cap)
        attributes: dict = {"scale": scale, "causal": causal}
        attributes |= {"window": window} if window else {}
        attributes |= {"softCap": cap} if cap else {}
        inputs["starts"] = torch.tensor(starts)
        add(f"attention-{label}", "attention", inputs, attributes, {"out": out, "logSumExp": total}, ["q", "k", "v"])


def losses() -> None:
    logits = normal(9, 33, scale=3).requires_grad_()
    targets = torch.tensor([0, 32, -100, 5, 17, -100, 1, 31, 16])
    outputs = {"loss": F.cross_entropy(logits, targets, reduction="none"), "logSumExp": logits.logsumexp(-1)}
    add(
        "cross-entropy",
        "crossEntropy",
        {"logits": logits, "targets": targets},
        {"ignoreIndex": -100},
        outputs,
        ["logits"],
    )
    for temperature in (1.0, 2.0, 0.5):
        student, teacher = normal(6, 29, scale=2).requires_grad_(), normal(6, 29, scale=2)
        logs = [(x / temperature).log_softmax(-1) for x in (student, teacher)]
        outputs = {"divergence": F.kl_div(*logs, reduction="none", log_target=True).sum(-1)}
        outputs |= {
            f"{n}LogSumExp": (x / temperature).logsumexp(-1) for n, x in (("student", student), ("teacher", teacher))
        }
        name, inputs = f"kl-divergence-{temperature:g}", {"student": student, "teacher": teacher}
        add(name, "klDivergence", inputs, {"temperature": temperature}, outputs, ["student"])


def adamw_step(inputs: dict[str, Tensor], attributes: dict) -> dict[str, Tensor]:
    """One step of torch.optim.AdamW from the given moments."""
    parameter = inputs["parameter"].clone().requires_grad_()
    optimizer = torch.optim.AdamW(
        [parameter],
        lr=attributes["learningRate"],
        betas=(attributes["beta1"], attributes["beta2"]),
        eps=attributes["epsilon"],
        weight_decay=attributes["weightDecay"],
    )
    state = {
        "step": torch.tensor(attributes["step"] - 1.0),
        "exp_avg": inputs["first"].clone(),
        "exp_avg_sq": inputs["second"].clone(),
    }
    optimizer.state[parameter] = state
    if inputs["finite"] != 0:
        parameter.grad = inputs["gradient"] * inputs["scale"]
        optimizer.step()
    return {"parameter": parameter, "first": state["exp_avg"], "second": state["exp_avg_sq"]}


def adamw_steps() -> None:
    """Outputs are the inputs of the same names after the op, which changes them in place."""
    usual = {"learningRate": 0.01, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.1}
    for label, step, scale, finite, changed in (
        ("first", 1, 1.0, 1.0, {}),
        ("later", 7, 0.375, 1.0, {}),
        ("no-decay", 3, 1.0, 1.0, {"weightDecay": 0.0, "beta2": 0.999, "epsilon": 1e-6}),
        ("not-finite", 7, 1.0, 0.0, {}),
    ):
        moment = 0.0 if step == 1 else 0.1
        inputs = {
            "parameter": normal(5, 7),
            "first": normal(5, 7, scale=moment),
            "second": normal(5, 7, scale=moment).square().float().double(),
            "gradient": normal(5, 7),
            "scale": torch.tensor(scale, dtype=torch.float64),
            "finite": torch.tensor(finite, dtype=torch.float64),
        }
        attributes = usual | changed | {"step": step}
        add(f"adamw-{label}", "adamw", inputs, attributes, adamw_step(inputs, attributes))


if __name__ == "__main__":
    for family in (softmaxes, activations, norms, ropes, attentions, losses, adamw_steps):
        family()
    save_tensors("ops", tensors)
    save_json("ops", {"made": {"by": "make_ops.py", "torch": torch.__version__}, "cases": cases})
    print(f"ops: {len(cases)} cases, {len(tensors)} tensors")
