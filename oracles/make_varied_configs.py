"""What each field of each family's config means, by changing it: fixtures/config-fields.json.

For every field of transformers' config class (and of its rotary settings, in both layouts) the committed model of a family
is computed with another value in that field, and with the field left out. The outcome is one of

    {"parameters": n}        the model has other weights: so many
    {"logits": [...]}        the same weights, other logits: the first COLUMNS of the last position of the first row
    {"same": true}           the field changed nothing

The models are those of make_families.py, which therefore comes first. Values that transformers refuses are left out. The
first case of each model changes nothing.
"""

import json
import sys
import tempfile
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

import fixture

COLUMNS = 16
MODELS = [
    *["llama-1", "llama-2", "mistral-1", "qwen2-2", "qwen3-3", "qwen2-moe-1", "qwen3-moe-1", "mixtral-1"],
    *["gemma2-1", "gemma3-1", "deepseek-v2-1", "deepseek-v2-2", "deepseek-v3-3", "deepseek-v3-4", "smollm3-1", "bert-1"],
]
# Descriptions and training. `vocab_size` and the like have other values tried below.
SKIPPED = {"transformers_version", "architectures", "id2label", "label2id", "problem_type", "dtype", "rope_parameters"}
WORDS = {
    "hidden_act": ["silu", "swish", "gelu", "gelu_pytorch_tanh", "gelu_new", "gelu_fast", "quick_gelu", "relu", "relu2", "tanh"],
    "topk_method": ["greedy", "group_limited_greedy", "noaux_tc"],
    "position_embedding_type": ["absolute", "relative_key"],
}
WORDS["hidden_activation"] = WORDS["hidden_act"]
# Fields that some family accepts though its class does not declare them.
UNDECLARED = dict(
    head_dim=[4, 6],
    hidden_act=["relu"],
    is_decoder=[True],
    max_window_layers=[1],
    num_experts=[4],
    num_local_experts=[4],
    pretraining_tp=[2],
    rope_interleave=[True, False],
)

Change = dict[str, Any]


def values(name: str, now: Any, layers: int) -> list[Any]:
    """Other values for a field."""
    if name == "layer_types":
        return [[("full_attention", "sliding_attention")[(i + k) % 2] for i in range(layers)] for k in (0, 1)]
    if name == "mlp_only_layers":
        return [[], [0], [1]]
    if name == "no_rope_layers":
        return [[1] * layers, [0] * layers]
    if name in WORDS:
        return [word for word in WORDS[name] if word != now]
    if isinstance(now, bool):
        return [not now]
    if isinstance(now, int):
        return sorted({1, 2, 3, now + 1, now * 2, 0} - {now})
    if isinstance(now, float):
        return [now * 3 + 0.1]
    if now is None:
        return [True, 2, 0.7]
    return []


def rotary_changes(config: dict[str, Any]) -> list[Change]:
    """Other rotary settings, in the layout of transformers 5 and of 4."""
    now = config.get("rope_parameters")
    if "model_type" not in config or config["model_type"] == "bert":
        return []
    scalings: list[dict[str, Any]] = [
        dict(rope_type="default"),
        dict(rope_type="linear", factor=3.0),
        dict(rope_type="dynamic", factor=3.0),
        dict(rope_type="llama3", factor=3.0, low_freq_factor=1.0, high_freq_factor=3.0, original_max_position_embeddings=8),
        dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=8),
        dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=8, beta_fast=4.0, beta_slow=0.5),
        dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=8, attention_factor=1.4),
        dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=8, mscale=0.8, mscale_all_dim=0.5),
        dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=8, truncate=False),
        dict(rope_type="yarn", factor=3.0),
        dict(rope_type="longrope", factor=3.0, short_factor=[1.5] * 4, long_factor=[2.5] * 4, original_max_position_embeddings=8),
        dict(rope_type="proportional", factor=3.0),
    ]
    changes: list[Change] = []
    drop = [name for name in ("rope_parameters", "rope_scaling", "rope_theta", "rope_local_base_freq") if name in config]
    for scaling in scalings:
        newer = dict(rope_theta=700.0, **scaling)
        if now and "full_attention" in now:
            newer = dict(now, full_attention=newer)
        changes.append(dict(drop=drop, set=dict(rope_parameters=newer)))
        old = {("type" if key == "rope_type" else key): value for key, value in scaling.items()}
        changes.append(dict(drop=drop, set=dict(rope_theta=700.0, rope_scaling=old)))
    changes.append(dict(drop=drop, set=dict(rope_theta=900.0)))
    changes.append(dict(drop=drop, set=dict(rope_theta=900.0, rope_scaling=None)))
    changes.append(dict(drop=drop, set=dict(rope_theta=900.0, partial_rotary_factor=0.5)))
    partial = dict(rope_type="default", rope_theta=700.0, partial_rotary_factor=0.5)
    if not (now and "full_attention" in now):
        changes.append(dict(drop=drop, set=dict(rope_parameters=partial)))
    return changes


def changes_of(config: dict[str, Any], kind: type[transformers.PreTrainedConfig]) -> list[Change]:
    known = kind.from_dict(config)
    changes: list[Change] = []
    for name in sorted({field.name for field in fields(kind)} - SKIPPED):
        now = config.get(name, getattr(known, name, None))
        changes += [dict(set={name: value}) for value in values(name, now, config["num_hidden_layers"])]
        if name in config:
            changes.append(dict(drop=[name]))
            changes.append(dict(set={name: None}))
    declared = {field.name for field in fields(kind)}
    for name, others in UNDECLARED.items():
        changes += [dict(set={name: value}) for value in others if name not in declared]
    return changes + rotary_changes(config)


def compute(config: transformers.PreTrainedConfig, state: dict[str, torch.Tensor], count: int, ids: torch.Tensor) -> Any:
    """Logits [COLUMNS], or the number of parameters where that is not `count`."""
    config._attn_implementation = config._experts_implementation = "eager"
    auto = transformers.AutoModelForCausalLM
    if config.model_type == "bert":
        auto = transformers.AutoModelForSequenceClassification
    with torch.device("meta"):
        parameters = sum(p.numel() for p in auto.from_config(config).parameters())
    if count and parameters != count:
        return parameters
    model = auto.from_config(config).float().eval()
    if state:
        model.load_state_dict(state)
    with torch.no_grad():
        logits = model(ids).logits[0]
    last = (logits if logits.ndim == 1 else logits[-1])[:COLUMNS]
    assert torch.isfinite(last).all()
    return last


def outcome(folder: Path, change: Change, base: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any] | None:
    config = {key: value for key, value in base.items() if key not in change.get("drop", [])} | change.get("set", {})
    (folder / "config.json").write_text(json.dumps(config))
    try:
        changed = transformers.AutoConfig.from_pretrained(folder)
        result = compute(changed, reference["state"], reference["count"], reference["ids"])
    except Exception:
        return None
    if isinstance(result, int):
        return dict(parameters=result)
    if fixture.relative_error(result, reference["logits"]) < 1e-6:
        return dict(same=True)
    return dict(logits=rounded(result))


def rounded(logits: torch.Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in logits.tolist()]


def audit(name: str) -> list[dict[str, Any]]:
    folder = fixture.FOLDER / "families" / name
    base = json.loads((folder / "config.json").read_text())
    # transformers saves how many blocks predict further tokens, but has no weights of them.
    auto = transformers.AutoModelForCausalLM if "bert" not in name else transformers.AutoModelForSequenceClassification
    model = auto.from_pretrained(folder, attn_implementation="eager").float().eval()
    ids = load_file(folder.parent / f"{name}.expected.safetensors")["input_ids"].long()[:1]
    config = transformers.AutoConfig.from_pretrained(folder)
    state = model.state_dict()
    count = sum(p.numel() for p in model.parameters())
    reference = dict(state=state, count=count, ids=ids, logits=compute(config, state, count, ids))
    cases: list[dict[str, Any]] = [dict(parameters=count, logits=rounded(reference["logits"]))]
    with tempfile.TemporaryDirectory() as scratch:
        for change in changes_of(base, type(config)):
            found = outcome(Path(scratch), change, base, reference)
            cases += [change | found] if found else []
    return cases


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    results: dict[str, Any] = dict(made=dict(by="make_varied_configs.py", transformers=transformers.__version__))
    for name in sys.argv[1:] or MODELS:
        results[name] = audit(name)
        print(name, len(results[name]))
    fixture.save_json("config-fields", results, columns=2)


if __name__ == "__main__":
    main()
