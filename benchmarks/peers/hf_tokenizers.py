"""Hugging Face's tokenizers: training of byte-level BPE, or encoding.

    python hf_tokenizers.py INPUT.json

INPUT is {"texts": […], "pattern": …, "vocabularySize": …} to train, or {"texts": […], "tokenizer": FILE} to encode. One
thread. A run of N gives `seconds` for N repetitions and `tokens` (of the vocabulary, or of the texts). See protocol.py.
"""

import json
import os
import sys
import time

import protocol

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers  # noqa: E402
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers  # noqa: E402


def train(texts: list[str], pattern: str, size: int) -> int:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab_size()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    texts = given["texts"]
    tokenizer = Tokenizer.from_file(given["tokenizer"]) if "tokenizer" in given else None

    def once() -> int:
        if tokenizer:
            return sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
        return train(texts, given["pattern"], given["vocabularySize"])

    def run(count: int) -> dict:
        started = time.perf_counter()
        tokens = [once() for _ in range(count)]
        return {"seconds": time.perf_counter() - started, "tokens": tokens[0]}

    protocol.serve({"peer": f"tokenizers {tokenizers.__version__}"}, run)


if __name__ == "__main__":
    main()
