"""Adapters of one base combined by PEFT's add_weighted_adapter: the product B A of each layer."""

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model

from fixture import save_json, save_tensors
from make_llama import CONFIGS, random_model

LAYERS = ["q_proj", "k_proj"]
WEIGHTS = [0.7, -0.4, 1.1]
DENSITY = 0.4
CASES = {
    "cat": {},
    "linear": {},
    "svd": dict(svd_rank=5),
    "ties": dict(density=DENSITY),
    "ties-frequency": dict(density=DENSITY, majority_sign_method="frequency"),
    "ties_svd": dict(density=DENSITY, svd_rank=5),
    "magnitude_prune": dict(density=DENSITY),
    "magnitude_prune_svd": dict(density=DENSITY, svd_rank=5),
}


def main() -> None:
    base = random_model(CONFIGS["llama-tiny"], seed=1000)
    names = [f"merge-{i}" for i in range(len(WEIGHTS))]
    model = None
    for i, name in enumerate(names):
        config = LoraConfig(r=4, lora_alpha=4 + 2 * i, target_modules=LAYERS, task_type="CAUSAL_LM")
        if model is None:
            model = get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    results: dict[str, torch.Tensor] = {}
    modules = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A") and ".layers.1." in n}
    for path, module in modules.items():
        short = path.removeprefix("base_model.model.")
        for name in names:
            results[f"{name}/{short}.down"] = module.lora_A[name].weight
            results[f"{name}/{short}.up"] = module.lora_B[name].weight
    for case, options in CASES.items():
        model.add_weighted_adapter(names, WEIGHTS, case, combination_type=case.split("-")[0], **options)
        for path, module in modules.items():
            results[f"{case}/{path.removeprefix('base_model.model.')}"] = module.get_delta_weight(case)
        model.delete_adapter(case)
    save_tensors("merging", results)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    made = {"by": "make_merging.py", **versions}
    scales = [(4 + 2 * i) / 4 for i in range(len(WEIGHTS))]
    save_json("merging", {"made": made, "weights": WEIGHTS, "scales": scales, "density": DENSITY, "cases": CASES})


if __name__ == "__main__":
    main()
