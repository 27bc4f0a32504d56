"""Losses that balance experts, and their gradients with respect to the router's logits, in float64.

The switch loss is transformers' own (`load_balancing_loss_func`). The sequence-wise loss of DeepSeek-V3 is written from
equations 17 to 20 of its report, the z-loss from equation 5 of ST-MoE. Choices have no gradient. moe.json lists the cases;
moe.safetensors holds `CASE/logits` [N, E], `CASE/experts` [N, k], `CASE/loss` [] and `CASE/gradient` [N, E].
"""

import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from fixture import save_json, save_tensors

Tensor = torch.Tensor
generator = torch.Generator().manual_seed(23)
tensors: dict[str, Tensor] = {}
cases: list[dict] = []


def switch(logits: Tensor, experts: Tensor) -> Tensor:
    return load_balancing_loss_func((logits,), num_experts=logits.shape[1], top_k=experts.shape[1])


def sequence(scores: Tensor, experts: Tensor, starts: list[int]) -> Tensor:
    E, k = scores.shape[1], experts.shape[1]
    shares = scores / scores.sum(1, keepdim=True)
    chosen = torch.zeros_like(scores).scatter_(1, experts, 1.0).detach()
    losses = []
    for begin, end in zip(starts, starts[1:]):
        f = chosen[begin:end].sum(0) * E / (k * (end - begin))
        losses.append((f * shares[begin:end].mean(0)).sum())
    return torch.stack(losses).mean()


def add(name: str, loss: str, gate: str, shape: tuple[int, int], k: int, starts: list[int]) -> None:
    logits = (2 * torch.randn(shape, generator=generator).double()).float().double().requires_grad_()
    scores = logits.softmax(1) if gate == "softmax" else logits.sigmoid()
    experts = scores.topk(k, dim=1).indices
    if loss == "switchLoss":
        value = switch(logits, experts)
    elif loss == "sequenceLoss":
        value = sequence(scores, experts, starts)
    else:
        value = torch.logsumexp(logits, 1).square().mean()
    value.backward()
    parts = dict(logits=logits, experts=experts, loss=value, gradient=logits.grad)
    tensors.update({f"{name}/{part}": tensor for part, tensor in parts.items()})
    cases.append(dict(name=name, loss=loss, gate=gate, chosen=k, sequenceStarts=starts))


add("switch", "switchLoss", "softmax", (17, 6), 2, [0, 17])
add("switch, one expert", "switchLoss", "softmax", (9, 4), 1, [0, 9])
add("sequence, softmax", "sequenceLoss", "softmax", (20, 8), 3, [0, 5, 6, 20])
add("sequence, sigmoid", "sequenceLoss", "sigmoid", (20, 8), 2, [0, 11, 20])
add("z", "zLoss", "softmax", (13, 7), 2, [0, 13])
save_tensors("moe", tensors)
save_json("moe", cases, 1)
