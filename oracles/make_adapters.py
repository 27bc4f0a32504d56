"""Adapters in PEFT's layout on llama-tiny, and what PEFT computes with them: logits, loss, gradients."""

import json
import shutil

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model

from fixture import FOLDER, save_json, save_tensors
from make_llama import CONFIGS, random_model

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
CASES = {
    "lora": dict(r=4, lora_alpha=6, target_modules=[*ATTENTION, "gate_proj", "up_proj", "down_proj"]),
    "rslora": dict(
        r=4,
        lora_alpha=3,
        use_rslora=True,
        target_modules=["q_proj", "down_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 2, "down_proj": 9},
        alpha_pattern={"1.mlp.down_proj": 5},
    ),
    "dora": dict(r=4, lora_alpha=6, use_dora=True, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"]),
}


def make(case: str, options: dict, seed: int) -> dict[str, torch.Tensor]:
    folder = FOLDER / "adapters" / case
    base = random_model(CONFIGS["llama-tiny"], seed=1000)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
    generator = torch.Generator().manual_seed(seed)
    learned = {name: p for name, p in sorted(model.named_parameters()) if p.requires_grad}
    with torch.no_grad():
        for name, parameter in learned.items():
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter * (1 + noise) if "magnitude" in name else noise)
    ids = torch.randint(base.config.vocab_size, (2, 12), generator=generator)
    output = model.eval()(ids, labels=ids)
    output.loss.backward()
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text()) | {"base_model_name_or_path": "llama-tiny"}
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    # The names of the adapter's file: without the adapter's own name, and DoRA's magnitude without `.weight`.
    stored = {n.replace(".default", "").replace("vector.weight", "vector"): p.grad for n, p in learned.items()}
    tensors = {"input_ids": ids, "logits": output.logits, "loss": output.loss}
    tensors |= {f"gradient.{name}": gradient for name, gradient in stored.items()}
    return {f"{case}/{name}": tensor for name, tensor in tensors.items()}


if __name__ == "__main__":
    results: dict[str, torch.Tensor] = {}
    for number, (name, settings) in enumerate(CASES.items()):
        results |= make(name, settings, seed=50 + number)
    save_tensors("adapters.expected", results)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    save_json("adapters.expected", {"made": {"by": "make_adapters.py", **versions}, "cases": list(CASES)})
