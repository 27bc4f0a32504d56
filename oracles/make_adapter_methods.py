"""How adapters begin and learn: PiSSA and LoRA+ of PEFT, and LoftQ from its paper over gguf's quantiser."""

import gguf
import numpy as np
import peft
import torch
import transformers
from gguf import GGMLQuantizationType as Q
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from fixture import FOLDER, save_json, save_tensors
from make_adapters import CASES, make
from make_llama import CONFIGS, random_model

ROWS, COLUMNS, RANK = 68, 96, 6
# Rows of the weight that LoftQ is shown on: what quantising leaves has singular values that are close to one another.
SMALL = 48
STEPS, RATE, RATIO = 5, 1e-2, 8.0


def matrix(seed: int) -> torch.Tensor:
    """Singular values that fall, so that the first are well apart from the rest.

    Made in double precision: the last bits of single precision differ from processor to processor, and one of them
    that moves a value across the border between two codes of 4 bits is a difference of the whole step.
    """
    kind = {"dtype": torch.float64}
    generator = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(ROWS, COLUMNS, generator=generator, **kind), full_matrices=False)
    return ((u * torch.logspace(0.5, -2, ROWS, **kind)) @ v).float()


def pissa(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """The product that PiSSA takes out of the weight, and what it leaves."""
    model = torch.nn.Sequential(torch.nn.Linear(COLUMNS, ROWS, bias=False))
    model[0].weight.data = weight.clone()
    config = LoraConfig(r=RANK, lora_alpha=3 * RANK, init_lora_weights="pissa", target_modules=["0"])
    layer = get_peft_model(model, config).base_model.model[0]
    return {"weight": weight, "pissa/product": layer.get_delta_weight("default"), "pissa/rest": layer.weight}


def loftq(weight: torch.Tensor, kind: Q, rounds: int) -> torch.Tensor:
    """Q + B A after each round, algorithm 1 of arXiv:2310.08659."""
    low_rank = torch.zeros_like(weight)
    results = []
    for _ in range(rounds):
        packed = gguf.quants.quantize((weight - low_rank).numpy(), kind)
        quantized = torch.from_numpy(gguf.quants.dequantize(packed, kind).astype(np.float32))
        u, s, v = torch.linalg.svd((weight - quantized).double(), full_matrices=False)
        low_rank = ((u[:, :RANK] * s[:RANK]) @ v[:RANK]).float()
        results.append(quantized + low_rank)
    return torch.stack(results)


def lora_plus() -> dict[str, torch.Tensor]:
    """The adapter `adapters/lora` after some steps on the same two sequences, B learning faster than A.

    In double precision: Adam divides by the size of the gradient, which makes much of the last bits of small ones.
    """
    make("lora", CASES["lora"], seed=50)
    base = random_model(CONFIGS["llama-tiny"], seed=1000)
    model = PeftModel.from_pretrained(base, FOLDER / "adapters" / "lora", is_trainable=True).eval().double()
    optimizer = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=RATIO, loraplus_weight_decay=0.0, weight_decay=0.0
    )
    ids = torch.randint(128, (2, 12), generator=torch.Generator().manual_seed(77))
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    learned = {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
    return {"plus/input_ids": ids} | {f"plus/{name}": value for name, value in learned.items()}


if __name__ == "__main__":
    weight = matrix(5)
    results = pissa(weight) | lora_plus()
    results |= {f"loftq/{kind.name.lower()}": loftq(weight[:SMALL], kind, 2) for kind in (Q.Q4_0, Q.Q8_0)}
    save_tensors("adapter-methods", results)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    settings = {"rank": RANK, "loftqRows": SMALL, "steps": STEPS, "learningRate": RATE, "ratio": RATIO}
    save_json("adapter-methods", {"made": {"by": "make_adapter_methods.py", **versions}, **settings})
