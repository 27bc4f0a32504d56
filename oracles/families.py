"""Random configurations of every model family, as transformers understands them.

`random_config(family, rng)` draws sizes that divide nothing, and every option that changes the result. `FAMILIES` are the
names it knows. Models get large weights, so that a wrong term cannot hide in small logits.
"""

import random
from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

NO_TOKENS = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)


def sizes(rng: random.Random) -> dict[str, Any]:
    """Sizes that all decoders share. transformers wants the heads to divide the hidden size, though head_dim may differ."""
    heads = rng.choice([2, 3, 4, 6])
    return NO_TOKENS | dict(
        hidden_size=heads * rng.choice([8, 10, 12]),
        intermediate_size=rng.randrange(17, 60),
        num_hidden_layers=rng.choice([2, 3]),
        num_attention_heads=heads,
        num_key_value_heads=rng.choice([k for k in range(1, heads + 1) if heads % k == 0]),
        vocab_size=rng.randrange(50, 120),
        max_position_embeddings=rng.choice([16, 64]),
        rms_norm_eps=rng.choice([1e-5, 1e-6]),
        tie_word_embeddings=rng.random() < 0.5,
    )


def head_dim(rng: random.Random) -> dict[str, int]:
    return dict(head_dim=rng.choice([6, 8, 10, 16]))


def activation(rng: random.Random) -> str:
    return rng.choice(["silu", "silu", "gelu", "gelu_pytorch_tanh", "relu"])


def rope(rng: random.Random, types: list[str] | None = None) -> dict[str, Any]:
    """One of the rotary scalings, with numbers that put frequencies into all of its branches."""
    kind = rng.choice(types or ["default", "linear", "dynamic", "llama3", "yarn"])
    parameters: dict[str, Any] = dict(rope_type=kind, rope_theta=rng.choice([500.0, 10000.0, 1e6]))
    if kind != "default":
        parameters["factor"] = rng.choice([1.5, 2.0, 4.0])
    if kind in ("llama3", "yarn"):
        parameters["original_max_position_embeddings"] = rng.choice([8, 16])
    if kind == "llama3":
        parameters |= dict(low_freq_factor=1.0, high_freq_factor=rng.choice([2.0, 4.0]))
    if kind == "yarn":
        parameters |= rng.choice(
            [
                {},
                dict(mscale=0.7, mscale_all_dim=1.3),
                dict(attention_factor=1.7, beta_fast=8.0, beta_slow=2.0, truncate=False),
            ]
        )
    return dict(rope_parameters=parameters)


def llama(rng: random.Random) -> PreTrainedConfig:
    biases = dict(attention_bias=rng.random() < 0.5, mlp_bias=rng.random() < 0.5)
    return transformers.LlamaConfig(**sizes(rng), **head_dim(rng), **rope(rng), **biases, hidden_act=activation(rng))


def mistral(rng: random.Random) -> PreTrainedConfig:
    window = rng.choice([None, 2, 5, 9])
    return transformers.MistralConfig(**sizes(rng), **head_dim(rng), **rope(rng), sliding_window=window)


def sliding(rng: random.Random, layers: int) -> dict[str, Any]:
    """Layers that slide: by rule, by list, or none."""
    kind = rng.choice(["none", "rule", "list"])
    if kind == "none":
        return dict(use_sliding_window=False)
    settings = dict(use_sliding_window=True, sliding_window=rng.choice([3, 6]), max_window_layers=rng.randrange(layers))
    types = [rng.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]
    return settings | (dict(layer_types=types) if kind == "list" else {})


def qwen2(rng: random.Random) -> PreTrainedConfig:
    shared = sizes(rng)
    return transformers.Qwen2Config(**shared, **rope(rng), **sliding(rng, shared["num_hidden_layers"]))


def qwen3(rng: random.Random) -> PreTrainedConfig:
    shared = sizes(rng)
    window = sliding(rng, shared["num_hidden_layers"])
    bias = rng.random() < 0.5
    return transformers.Qwen3Config(**shared, **head_dim(rng), **rope(rng), **window, attention_bias=bias)


def qwen2_moe(rng: random.Random) -> PreTrainedConfig:
    shared = sizes(rng)
    experts = rng.choice([4, 6, 8])
    return transformers.Qwen2MoeConfig(
        **shared,
        **(head_dim(rng) if rng.random() < 0.5 else {}),
        **rope(rng),
        **sliding(rng, shared["num_hidden_layers"]),
        decoder_sparse_step=rng.choice([1, 2]),
        mlp_only_layers=rng.choice([[], [1]]),
        num_experts=experts,
        num_experts_per_tok=rng.randrange(1, experts + 1),
        moe_intermediate_size=rng.randrange(7, 20),
        shared_expert_intermediate_size=rng.randrange(7, 30),
        norm_topk_prob=rng.random() < 0.5,
        qkv_bias=rng.random() < 0.7,
    )


def qwen3_moe(rng: random.Random) -> PreTrainedConfig:
    experts = rng.choice([4, 6, 8])
    layers = dict(decoder_sparse_step=rng.choice([1, 2]), mlp_only_layers=rng.choice([[], [1]]))
    window = rng.choice([dict(use_sliding_window=False), dict(use_sliding_window=True, sliding_window=5)])
    return transformers.Qwen3MoeConfig(
        **sizes(rng),
        **head_dim(rng),
        **rope(rng),
        **layers,
        **window,
        num_experts=experts,
        num_experts_per_tok=rng.randrange(1, experts + 1),
        moe_intermediate_size=rng.randrange(7, 20),
        norm_topk_prob=rng.random() < 0.5,
        attention_bias=rng.random() < 0.5,
    )


def mixtral(rng: random.Random) -> PreTrainedConfig:
    experts = rng.choice([3, 4, 8])
    return transformers.MixtralConfig(
        **sizes(rng) | dict(intermediate_size=rng.randrange(9, 24)),
        **head_dim(rng),
        **rope(rng),
        num_local_experts=experts,
        num_experts_per_tok=rng.randrange(1, experts + 1),
        sliding_window=rng.choice([None, 5]),
    )


def gemma(rng: random.Random) -> dict[str, Any]:
    return sizes(rng) | head_dim(rng) | dict(
        sliding_window=rng.choice([3, 6]),
        query_pre_attn_scalar=rng.choice([9, 16]),
        final_logit_softcapping=rng.choice([None, 5.0, 30.0]),
        attention_bias=rng.random() < 0.3,
    )


def gemma2(rng: random.Random) -> PreTrainedConfig:
    return transformers.Gemma2Config(**gemma(rng), **rope(rng), attn_logit_softcapping=rng.choice([None, 2.0, 50.0]))


def gemma3(rng: random.Random) -> PreTrainedConfig:
    shared = gemma(rng) | dict(num_hidden_layers=3)
    types = rng.choice([None, ["sliding_attention", "full_attention", "sliding_attention"], ["full_attention"] * 3])
    parameters = dict(
        full_attention=rope(rng, ["default", "linear", "yarn"])["rope_parameters"],
        sliding_attention=dict(rope_type="default", rope_theta=rng.choice([100.0, 10000.0])),
    )
    if parameters["full_attention"].get("truncate") is False:  # transformers looks for it in another place
        parameters["full_attention"].pop("truncate")
    return transformers.Gemma3TextConfig(**shared, layer_types=types, rope_parameters=parameters)


def deepseek(rng: random.Random) -> dict[str, Any]:
    shared = sizes(rng)
    rotary = rng.choice([4, 6])
    return shared | rope(rng, ["default", "yarn"]) | dict(
        num_key_value_heads=shared["num_attention_heads"],
        q_lora_rank=rng.choice([None, 10]),
        kv_lora_rank=rng.choice([10, 14]),
        qk_nope_head_dim=rng.choice([5, 8]),
        qk_rope_head_dim=rotary,
        v_head_dim=rng.choice([7, 8]),
        moe_intermediate_size=rng.randrange(6, 14),
        n_routed_experts=8,
        n_shared_experts=rng.choice([1, 2]),
        first_k_dense_replace=rng.choice([0, 1]),
        attention_bias=rng.random() < 0.5,
        routed_scaling_factor=rng.choice([1.0, 2.5]),
    )


def deepseek_v2(rng: random.Random) -> PreTrainedConfig:
    routing = rng.choice(
        [dict(topk_method="greedy"), dict(topk_method="group_limited_greedy", n_group=4, topk_group=2)]
    )
    chosen = rng.randrange(1, 5)
    shared = deepseek(rng) | dict(qk_nope_head_dim=rng.choice([4, 8]))  # torch wants complex numbers at even places
    return transformers.DeepseekV2Config(**shared, **routing, num_experts_per_tok=chosen, mlp_bias=rng.random() < 0.3)


def deepseek_v3(rng: random.Random) -> PreTrainedConfig:
    groups, chosen = rng.choice([(1, 1), (2, 1), (4, 2)])
    return transformers.DeepseekV3Config(
        **deepseek(rng),
        n_group=groups,
        topk_group=chosen,
        num_experts_per_tok=rng.randrange(1, 8 // groups * chosen + 1),
        norm_topk_prob=rng.random() < 0.7,
        rope_interleave=rng.random() < 0.7,
        num_mtp_layers=rng.choice([0, 1, 2]),
    )


def smollm3(rng: random.Random) -> PreTrainedConfig:
    shared = sizes(rng) | dict(num_hidden_layers=3)
    positions = rng.choice([dict(no_rope_layer_interval=2), dict(no_rope_layers=[1, 0, 1])])
    window = rng.choice([dict(use_sliding_window=False), dict(use_sliding_window=True, sliding_window=4)])
    return transformers.SmolLM3Config(**shared, **rope(rng), **positions, **window, mlp_bias=rng.random() < 0.5)


def bert(rng: random.Random) -> PreTrainedConfig:
    shared = sizes(rng)
    names = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
    return transformers.BertConfig(
        **{name: shared[name] for name in names},
        max_position_embeddings=40,
        hidden_act=activation(rng),
        num_labels=rng.choice([2, 5]),
        layer_norm_eps=1e-7,
    )


FAMILIES = dict(
    llama=llama,
    mistral=mistral,
    qwen2=qwen2,
    qwen3=qwen3,
    qwen2_moe=qwen2_moe,
    qwen3_moe=qwen3_moe,
    mixtral=mixtral,
    gemma2=gemma2,
    gemma3=gemma3,
    deepseek_v2=deepseek_v2,
    deepseek_v3=deepseek_v3,
    smollm3=smollm3,
    bert=bert,
)


def random_config(family: str, rng: random.Random) -> PreTrainedConfig:
    config = FAMILIES[family](rng)
    config._attn_implementation = "eager"  # the only one with soft caps
    config._experts_implementation = "eager"
    return config


def random_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """Weights of standard deviation 0.2; norms around their neutral value."""
    auto = transformers.AutoModelForCausalLM
    if config.model_type == "bert":
        auto = transformers.AutoModelForSequenceClassification
    model = auto.from_config(config).float().eval()
    randomize(model, seed)
    return model


def randomize(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    from_one = "gemma" in getattr(model.config, "model_type", "")
    with torch.no_grad():
        tensors = [*model.named_parameters(), *(b for b in model.named_buffers() if "correction_bias" in b[0])]
        for name, parameter in tensors:
            is_norm = "norm" in name.lower() and name.endswith("weight")
            centre = 1.0 if is_norm and not from_one else 0.0
            parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))
