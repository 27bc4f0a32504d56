"""Tiny random Llamas as Hugging Face directories, and what transformers computes with them."""

import torch
import transformers
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

import plain_llama
from fixture import FOLDER, relative_error, save_json, save_tensors, use_older_layout

BATCH, TOKENS, PROMPT, CONTINUATION = 2, 24, 8, 16
PACKED_LENGTHS = (9, 15)

SHARED = dict(num_hidden_layers=2, rope_theta=10000.0, rms_norm_eps=1e-5, bos_token_id=None, eos_token_id=None)
CONFIGS = {
    "llama-tiny": LlamaConfig(
        **SHARED,
        vocab_size=128,
        hidden_size=64,
        intermediate_size=176,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        tie_word_embeddings=False,
    ),
    # Sizes that divide nothing: heads · head_dim ≠ hidden, odd feed-forward and vocabulary, one kv-head of three.
    "llama-tied": LlamaConfig(
        **SHARED,
        vocab_size=131,
        hidden_size=48,
        intermediate_size=111,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=20,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
        # With these numbers the ten frequencies fall into all three branches: kept, interpolated, stretched.
        rope_scaling=dict(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
    ),
}


def random_model(config: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """Large weights (standard deviation 0.2), so that a wrong term cannot hide in small logits."""
    model = LlamaForCausalLM(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def packed_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions that restart, the sequence of each token, and an additive block-diagonal mask [1, 1, T, T]."""
    positions = torch.cat([torch.arange(n) for n in PACKED_LENGTHS])
    sequence = torch.cat([torch.full((n,), i) for i, n in enumerate(PACKED_LENGTHS)])
    order = torch.arange(len(positions))
    visible = (order[:, None] >= order) & (sequence[:, None] == sequence)
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    return positions, sequence, mask[None, None]


def next_token_loss(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the shifted tokens. logits [B, T, V], ids [B, T]"""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def greedy_margin(model: LlamaForCausalLM, ids: torch.Tensor) -> float:
    """Smallest lead of a chosen token over the second best: rounding must stay below it."""
    with torch.no_grad():
        best = model(ids).logits[:, PROMPT - 1 : -1].topk(2).values
    return float((best[..., 0] - best[..., 1]).min())


def second_opinion(config: LlamaConfig, tensors: dict[str, torch.Tensor], model: LlamaForCausalLM) -> dict[str, float]:
    """How far transformers (float32) is from the plain float64 model, relative to the largest value."""
    weights = {name: p.detach().double().requires_grad_() for name, p in model.named_parameters()}
    ids = tensors["input_ids"]
    line = torch.arange(TOKENS)
    rows = [plain_llama.forward(weights, config, row, line, torch.zeros_like(line)) for row in ids]
    logits = torch.stack(rows)
    loss = next_token_loss(logits, ids)
    loss.backward()
    positions, sequence, _ = packed_inputs()
    with torch.no_grad():
        packed = plain_llama.forward(weights, config, tensors["packed.input_ids"], positions, sequence)
    return {
        "logits": relative_error(tensors["logits"], logits),
        "loss": relative_error(tensors["loss"], loss.detach()),
        "gradients": max(relative_error(tensors[f"gradient.{n}"], w.grad) for n, w in weights.items()),
        "packed.logits": relative_error(tensors["packed.logits"], packed),
    }


def make(name: str, config: LlamaConfig, seed: int) -> None:
    model = random_model(config, seed)
    model.save_pretrained(FOLDER / name)
    use_older_layout(FOLDER / name)
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(config.vocab_size, (BATCH, TOKENS), generator=generator)
    packed_ids = torch.randint(config.vocab_size, (sum(PACKED_LENGTHS),), generator=generator)
    positions, sequence, mask = packed_inputs()

    output = model(ids, labels=ids, output_hidden_states=True)
    assert torch.allclose(output.loss, next_token_loss(output.logits, ids))
    output.loss.backward()
    with torch.no_grad():
        packed = model(packed_ids[None], position_ids=positions[None], attention_mask=mask).logits[0]
        alone = torch.cat([model(part[None]).logits[0] for part in packed_ids.split(PACKED_LENGTHS)])
        assert relative_error(packed, alone) < 1e-5, "packed sequences must not see each other"
        options = dict(max_new_tokens=CONTINUATION, do_sample=False, pad_token_id=0)
        prompt = ids[:, :PROMPT]
        generated = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)

    tensors = {
        "input_ids": ids,
        "logits": output.logits,
        "loss": output.loss,
        "greedy.prompt": prompt,
        "greedy.tokens": generated[:, PROMPT:],
        "packed.input_ids": packed_ids,
        "packed.positions": positions,
        "packed.sequence_starts": torch.tensor([0, *PACKED_LENGTHS]).cumsum(0),
        "packed.logits": packed,
    }
    tensors |= {f"hidden.{i}": hidden for i, hidden in enumerate(output.hidden_states)}
    tensors |= {f"gradient.{n}": parameter.grad for n, parameter in model.named_parameters()}
    error = second_opinion(config, tensors, model)
    assert max(error.values()) < 1e-5, error
    save_tensors(f"{name}.expected", tensors)
    save_json(
        f"{name}.expected",
        {
            "made": {
                "by": "make_llama.py",
                "seed": seed,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "loss": output.loss.item(),
            "largestLogit": output.logits.abs().max().item(),
            "greedyMargin": greedy_margin(model, generated),
            "distanceFromFloat64": error,
        },
    )
    print(f"{name}: loss {output.loss.item():.4f}, distance from float64 {error}")


if __name__ == "__main__":
    for number, (model_name, model_config) in enumerate(CONFIGS.items()):
        make(model_name, model_config, seed=1000 * (number + 1))
