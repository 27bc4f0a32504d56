"""Losses of preferences (DPO) and rewards (GRPO) with their gradients, from the formulas of the papers in float64.

The model is llama-tiny as transformers runs it. tuning-losses.json holds the texts (`tokens`, and `start`, where the
answer begins), what the reference and the model before the update said (log-probabilities of the answers' tokens),
and per case the options, the loss and the norms of all gradients by the names of the file.
"""

import torch
import transformers
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from fixture import FOLDER, save_json

VOCABULARY = 128
CASES = {
    "dpo": dict(kind="preference", beta=0.1, labelSmoothing=0.0),
    "dpo-smoothed": dict(kind="preference", beta=0.5, labelSmoothing=0.1),
    "grpo": dict(kind="policy", clip=0.2, klWeight=0.04),
    "grpo-clipped": dict(kind="policy", clip=0.02, klWeight=0.5),
}


def random_texts() -> list[dict]:
    """Pairs share their prompt; for GRPO the same texts are answers of two groups."""
    generator = torch.Generator().manual_seed(11)
    draw = lambda n: torch.randint(0, VOCABULARY, (n,), generator=generator).tolist()
    texts = []
    for prompt, first, second in [(4, 6, 3), (7, 2, 5)]:
        start = draw(prompt)
        texts += [dict(tokens=start + draw(n), start=prompt) for n in (first, second)]
    return texts


def log_probs(model: LlamaForCausalLM, text: dict) -> torch.Tensor:
    """Of the tokens of the answer, each given all before it."""
    ids = torch.tensor([text["tokens"]])
    logits = model(ids).logits[0, text["start"] - 1 : -1]
    return -F.cross_entropy(logits, ids[0, text["start"] :], reduction="none")


def disturbed(seed: int) -> LlamaForCausalLM:
    """A model nearby: what the reference, or the model before the update, was."""
    model = LlamaForCausalLM.from_pretrained(FOLDER / "llama-tiny", dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.004 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def preference(answers: list[torch.Tensor], texts: list[dict], beta: float, labelSmoothing: float) -> torch.Tensor:
    """arXiv:2305.18290, eq. 7; with label smoothing as in section 3 of the note on conservative DPO."""
    losses = []
    for chosen, rejected in [(0, 1), (2, 3)]:
        ratio = lambda i: answers[i].sum() - sum(texts[i]["reference"])
        z = beta * (ratio(chosen) - ratio(rejected))
        losses.append(-(1 - labelSmoothing) * F.logsigmoid(z) - labelSmoothing * F.logsigmoid(-z))
    return torch.stack(losses).mean()


def policy(answers: list[torch.Tensor], texts: list[dict], clip: float, klWeight: float) -> torch.Tensor:
    """arXiv:2402.03300, eq. 3 and 4, as something to be lowered."""
    losses = []
    for answer, text in zip(answers, texts):
        ratio = (answer - torch.tensor(text["old"])).exp()
        gain = torch.minimum(ratio * text["advantage"], ratio.clamp(1 - clip, 1 + clip) * text["advantage"])
        away = torch.tensor(text["reference"]) - answer
        losses.append((klWeight * (away.exp() - away - 1) - gain).mean())
    return torch.stack(losses).mean()


def main() -> None:
    torch.set_default_dtype(torch.float64)
    model = LlamaForCausalLM.from_pretrained(FOLDER / "llama-tiny", dtype=torch.float64)
    texts = random_texts()
    with torch.no_grad():
        reference, old = disturbed(5), disturbed(6)
        for text, advantage in zip(texts, [1.0, -1.0, -0.7, 0.7]):
            text |= dict(reference=log_probs(reference, text).tolist(), old=log_probs(old, text).tolist())
            text |= dict(advantage=advantage)
    cases = []
    for name, options in CASES.items():
        model.zero_grad()
        answers = [log_probs(model, text) for text in texts]
        settings = {key: value for key, value in options.items() if key != "kind"}
        loss = (preference if options["kind"] == "preference" else policy)(answers, texts, **settings)
        loss.backward()
        norms = {key: float(p.grad.norm()) for key, p in model.named_parameters()}
        cases.append(dict(name=name, **options, loss=float(loss.detach()), gradientNorms=norms))
    made = {"by": "make_tuning_losses.py", "torch": torch.__version__, "transformers": transformers.__version__}
    save_json("tuning-losses", {"made": made, "texts": texts, "cases": cases}, columns=3)
    print("tuning-losses:", ", ".join(f"{case['name']} {case['loss']:.4f}" for case in cases))


if __name__ == "__main__":
    main()
