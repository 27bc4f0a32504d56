"""A Llama in float64, written from the formulas alone: a second opinion on what transformers computes in float32.

Weights are a dictionary under Hugging Face names. Shapes: T tokens, H heads, K kv-heads, D head size, C channels.
"""

import math

import torch
from torch.nn import functional as F

Weights = dict[str, torch.Tensor]


def llama3_frequencies(frequencies: torch.Tensor, scaling: dict) -> torch.Tensor:
    """Long wavelengths are stretched by `factor`, short ones kept, those between interpolated (Llama 3.1)."""
    wavelengths = 2 * math.pi / frequencies
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = ((original / wavelengths - low) / (high - low)).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling["factor"]


def rotate(x: torch.Tensor, positions: torch.Tensor, config) -> torch.Tensor:
    """Rotary positions over halves: pair (i, i + D/2) turns by position · frequency_i. x [T, H, D]"""
    half = x.shape[-1] // 2
    rope = config.rope_parameters
    frequencies = rope["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
    if rope["rope_type"] == "llama3":
        frequencies = llama3_frequencies(frequencies, rope)
    angle = (positions.double()[:, None] * frequencies)[:, None, :]  # [T, 1, D/2]
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * weight


def forward(
    weights: Weights, config, ids: torch.Tensor, positions: torch.Tensor, sequence: torch.Tensor
) -> torch.Tensor:
    """Logits [T, V] of flat tokens; a token sees the earlier ones that have the same number in `sequence`."""
    D, H, K = config.head_dim, config.num_attention_heads, config.num_key_value_heads
    order = torch.arange(len(ids))
    visible = (order[:, None] >= order) & (sequence[:, None] == sequence)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    x = weights["model.embed_tokens.weight"][ids]  # [T, C]
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}"
        h = norm(x, weights[f"{layer}.input_layernorm.weight"], config.rms_norm_eps)
        q = rotate(linear(h, f"{layer}.self_attn.q_proj").view(-1, H, D), positions, config)
        k = rotate(linear(h, f"{layer}.self_attn.k_proj").view(-1, K, D), positions, config)
        v = linear(h, f"{layer}.self_attn.v_proj").view(-1, K, D)
        k, v = (t.repeat_interleave(H // K, 1) for t in (k, v))  # [T, H, D]
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(D)
        attended = torch.einsum("hqk,khd->qhd", scores.masked_fill(~visible, -math.inf).softmax(-1), v)
        x = x + linear(attended.flatten(1), f"{layer}.self_attn.o_proj")
        h = norm(x, weights[f"{layer}.post_attention_layernorm.weight"], config.rms_norm_eps)
        gate, up = linear(h, f"{layer}.mlp.gate_proj"), linear(h, f"{layer}.mlp.up_proj")
        x = x + linear(gate * gate.sigmoid() * up, f"{layer}.mlp.down_proj")
    head = weights["model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"]
    return norm(x, weights["model.norm.weight"], config.rms_norm_eps) @ head.T
