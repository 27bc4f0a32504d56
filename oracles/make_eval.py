"""What packages/eval is checked against: likelihoods of continuations by transformers, statistics by scipy and scikit-learn."""

import random

import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from fixture import save_json
from make_llama import CONFIGS, random_model


def likelihoods(model: torch.nn.Module, generator: random.Random) -> list[dict]:
    """Prompts and continuations as ids; log p of each continuation in float64. Some share their only token's position."""
    requests = []
    for lengths in [[1, 1, 1, 1], [3, 5, 2], [1, 4], [6]]:
        prompt = [generator.randrange(128) for _ in range(generator.randrange(4, 20))]
        continuations = [[generator.randrange(128) for _ in range(length)] for length in lengths]
        scores = []
        for continuation in continuations:
            ids = torch.tensor([prompt + continuation])
            with torch.no_grad():
                losses = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)
            positions = range(len(prompt) - 1, len(prompt) + len(continuation) - 1)
            scores.append(float(sum(losses[i, ids[0, i + 1]] for i in positions)))
        requests.append({"prompt": prompt, "continuations": continuations, "logLikelihoods": scores})
    return requests


def proportions() -> list[dict]:
    cases = []
    for hits, items in [(0, 10), (3, 10), (10, 10), (57, 100), (1, 1), (498, 1000)]:
        interval = binomtest(hits, items).proportion_ci(confidence_level=0.95, method="wilson")
        cases.append({"hits": hits, "items": items, "interval": [float(interval.low), float(interval.high)]})
    return cases


def mcnemar() -> list[dict]:
    cases = [(0, 0), (1, 0), (5, 5), (3, 12), (40, 25), (300, 200), (0, 60)]
    return [
        {"gained": gained, "lost": lost, "p": float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0}
        for gained, lost in cases
    ]


def classification(generator: random.Random) -> dict:
    """Class 3 is never true, class 4 never predicted."""
    truth = [generator.choice([0, 0, 1, 2, 4]) for _ in range(60)]
    predicted = [label if generator.random() < 0.6 else generator.choice([0, 1, 2, 3]) for label in truth]
    predicted = [label if label != 4 else 0 for label in predicted]
    precision, recall, f1, items = precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=0)
    return {
        "truth": truth,
        "predicted": predicted,
        "accuracy": float(accuracy_score(truth, predicted)),
        "macroF1": float(precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)[2]),
        "confusion": confusion_matrix(truth, predicted, labels=range(5)).tolist(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "items": items.tolist(),
    }


if __name__ == "__main__":
    model = random_model(CONFIGS["llama-tiny"], seed=1000).eval()
    save_json(
        "eval",
        {
            "model": "llama-tiny",
            "likelihoods": likelihoods(model, random.Random(1)),
            "proportions": proportions(),
            "mcnemar": mcnemar(),
            "classification": classification(random.Random(2)),
        },
    )
