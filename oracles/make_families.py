"""Tiny random models of every family as Hugging Face directories, and what transformers computes with them.

    python make_families.py                          the committed fixtures, in fixtures/families
    python make_families.py FOLDER FAMILY SEED ...   one model of a random configuration per seed, for property tests

Beside each directory NAME lies NAME.expected.safetensors: `input_ids` [B, T], `logits` [B, T, V], `loss` [], `greedy.prompt`
[B, P], `greedy.tokens` [B, n] and `greedy.margins` [B, n] (lead of each chosen token over the second best logit);
`prediction.D` [B, T - D - 1, V], logits of the D-th block that predicts further tokens. NAME.expected.json has
`gradientNorms` by the names of the file.
"""

import random
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_layers import MtpModel

import fixture
from families import FAMILIES, random_config, random_model, randomize

BATCH, TOKENS, PROMPT, CONTINUATION = 2, 22, 7, 14

# Seeds whose configurations show together what each family can do; several of those with many options.
COMMITTED = {
    "llama": [1, 2, 3],
    "mistral": [1],
    "qwen2": [2],
    "qwen3": [3],
    "qwen2_moe": [1],
    "qwen3_moe": [1],
    "mixtral": [1],
    "gemma2": [1],
    "gemma3": [1],
    "deepseek_v2": [1, 2],
    "deepseek_v3": [3, 4],
    "smollm3": [1],
    "bert": [1],
}


def next_token_loss(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def in_file(config: transformers.PreTrainedConfig, name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """A parameter under the names of the file: fused experts lie there one by one."""
    mixtral = config.model_type == "mixtral"
    gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    name = name.replace(".mlp.", ".block_sparse_moe.") if mixtral else name
    base, _, last = name.rpartition(".")
    if last == "gate_up_proj":
        halves = zip((gate, up), value.chunk(2, dim=1))
        return {f"{base}.{e}.{part}.weight": half[e] for part, half in halves for e in range(value.shape[0])}
    if last == "down_proj" and value.ndim == 3:
        return {f"{base}.{e}.{down}.weight": value[e] for e in range(value.shape[0])}
    return {name: value}


def gradient_norms(model: PreTrainedModel) -> dict[str, float]:
    norms = {}
    for name, parameter in model.named_parameters():
        if name.startswith("further."):  # not part of the loss
            continue
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for stored, part in in_file(model.config, name, gradient).items():
            norms[stored] = part.double().norm().item()
    return norms


def language_model(model: PreTrainedModel, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    output = model(ids, output_hidden_states=True)
    loss = next_token_loss(output.logits, ids)
    loss.backward()
    prompt = ids[:, :PROMPT]
    generated = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=CONTINUATION,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(generated.logits, dim=1).topk(2).values
    return {
        "input_ids": ids,
        "logits": output.logits,
        "loss": loss,
        "greedy.prompt": prompt,
        "greedy.tokens": generated.sequences[:, PROMPT:],
        "greedy.margins": best[..., 0] - best[..., 1],
    } | predictions(model, ids, output.hidden_states[-1].detach())


def predictions(model: PreTrainedModel, ids: torch.Tensor, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
    """What blocks for further tokens say, each fed with the true tokens."""
    count = getattr(model.config, "num_mtp_layers", None) or 0
    if count == 0:
        return {}
    mtp = MtpModel(model, count).float().eval()
    mtp.config._attn_implementation = mtp.config._experts_implementation = "eager"
    shared = {id(p) for p in model.parameters()}
    model.further = torch.nn.ModuleList(mtp.layers)
    model.further.config = model.config
    assert not any(id(p) in shared for p in model.further.parameters())
    randomize(model.further, 77)
    results = {}
    for depth, layer in enumerate(model.further):
        following = ids[:, depth + 1 :]
        hidden = hidden[:, : following.shape[1]]
        length = following.shape[1]
        positions = torch.arange(length)[None] + depth + 1
        mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
        with torch.no_grad():
            embedded = model.get_input_embeddings()(following)
            cos_sin = model.model.rotary_emb(embedded, position_ids=positions)
            hidden = layer(embedded, hidden, cos_sin, mask, positions, None)
            results[f"prediction.{depth}"] = model.lm_head(hidden)
    return results


def add_predictions(model: PreTrainedModel, folder: Path) -> None:
    """transformers saves the number of these blocks, but not their weights: they are layers behind the last one."""
    if not hasattr(model, "further"):
        return
    file = folder / "model.safetensors"
    tensors = load_file(file)
    own = {"post_norm.weight": "shared_head.norm.weight"}
    values = [*model.further.named_parameters(), *(b for b in model.further.named_buffers() if "correction_bias" in b[0])]
    for name, value in values:
        depth, _, rest = name.partition(".")
        rest = own.get(rest, rest.removeprefix("mtp_block."))
        stored = f"model.layers.{model.config.num_hidden_layers + int(depth)}.{rest}"
        tensors |= {key: part.detach().clone() for key, part in in_file(model.config, stored, value).items()}
    save_file(tensors, file, metadata={"format": "pt"})


def classifier(model: PreTrainedModel, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    types = (torch.arange(ids.shape[1]) >= 9).long().expand(ids.shape).contiguous()
    labels = torch.arange(len(ids)) % model.config.num_labels
    output = model(ids, token_type_ids=types, output_hidden_states=True)
    loss = F.cross_entropy(output.logits, labels)
    loss.backward()
    tensors = dict(input_ids=ids, token_types=types, labels=labels, logits=output.logits, loss=loss)
    return tensors | {"hidden": output.hidden_states[-1]}


def make(family: str, seed: int, folder: Path) -> str:
    rng = random.Random(f"{family} {seed}")
    config = random_config(family, rng)
    model = random_model(config, seed)
    ids = torch.randint(config.vocab_size, (BATCH, TOKENS), generator=torch.Generator().manual_seed(seed + 1))
    tensors = classifier(model, ids) if family == "bert" else language_model(model, ids)
    norms = gradient_norms(model)
    name = f"{family.replace('_', '-')}-{seed}"
    further = model._modules.pop("further", None)
    model.save_pretrained(folder / name)
    if further is not None:
        model.further = further
        add_predictions(model, folder / name)
    if family != "bert" and seed % 2 == 0:
        fixture.use_older_layout(folder / name)
    (folder / name / "generation_config.json").unlink(missing_ok=True)
    fixture.FOLDER = folder
    fixture.save_tensors(f"{name}.expected", tensors)
    made = dict(by="make_families.py", torch=torch.__version__, transformers=transformers.__version__)
    fixture.save_json(f"{name}.expected", dict(made=made, gradientNorms=norms))
    return name


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else fixture.FOLDER / "families"
    folder.mkdir(parents=True, exist_ok=True)
    families = {sys.argv[2]: [int(seed) for seed in sys.argv[3:]]} if len(sys.argv) > 2 else COMMITTED
    assert families.keys() <= FAMILIES.keys(), f"families are {', '.join(FAMILIES)}"
    for family, seeds in families.items():
        for seed in seeds:
            print(make(family, seed, folder))


if __name__ == "__main__":
    main()
