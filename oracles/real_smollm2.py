"""What transformers computes with SmolLM2-135M-Instruct, the weights of its GGUF file unpacked to f32.

    python oracles/real_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf

(scripts/fetch-test-model.mjs fetches the file.) Not made by check.sh: it needs the model and a minute.
"""

import hashlib
import math
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixture import save_json

CONTEXT = 256
NEW_TOKENS = 48

CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "Why is the sky blue?"},
        {"role": "assistant", "content": "Because air scatters blue light more than red light."},
        {"role": "user", "content": "And why is it red at sunset?"},
    ],
    [{"role": "user", "content": "Write a Python function that adds two numbers.\n"}],
]

# No digits beyond 0 to 9: the tokenizer that transformers makes of a GGUF file does not cut between them, as the model's
# own does.
TEXTS = [
    "", " ", "Hello, world!", "  two  spaces\tand\ttabs\r\n\r\n\n", "3.14159 and 1,234,567", "naïve café — “quotes” …",
    "天下大势，分久必合，合久必分。", "日本語のテキスト、한국어 텍스트", "👩‍👩‍👧‍👦 🏳️‍🌈 🙂🙃", "a" * 300, " " * 200 + "x",
    "<|im_start|>user\nHi<|im_end|>\n", "<|im_start", "not <|endoftext|> the end", "\u0000\u0001\u007f", "ﷺ \u202eabc\u202c مرحبا",
    "def f(x):\n    return x**2  # squared\n", "e\u0301 é ẹ́", "I'll we've they'd DON'T", "\U0001f468\u200d\U0001f4bb\ufe0f mixed Ωмега",
]

PASSAGE = """Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have of driving off the spleen and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it is a damp, drizzly November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear of every funeral I meet; and especially whenever my hypos get such an upper hand of me, that it requires a strong moral principle to prevent me from deliberately stepping into the street, and methodically knocking people's hats off—then, I account it high time to get to sea as soon as I can.

There now is your insular city of the Manhattoes, belted round by wharves as Indian isles by coral reefs—commerce surrounds it with her surf. Right and left, the streets take you waterward. Its extreme downtown is the battery, where that noble mole is washed by waves, and cooled by breezes, which a few hours previous were out of sight of land. Look at the crowds of water-gazers there.

Four score and seven years ago our fathers brought forth, on this continent, a new nation, conceived in Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived, and so dedicated, can long endure. We are met on a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting-place for those who here gave their lives, that that nation might live.

def greatest_common_divisor(a, b):
    while b:
        a, b = b, a % b
    return abs(a)

话说天下大势，分久必合，合久必分：周末七国分争，并入于秦；及秦灭之后，楚、汉分争，又并入于汉。
"""


def chat(model, tokenizer, messages):
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt = torch.tensor([ids])
    with torch.no_grad():
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            # What the file names as the end; transformers' tokenizer of it has another one.
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        )
    new = output[0, len(ids) :].tolist()
    return {"messages": messages, "prompt": text, "promptIds": ids, "ids": new, "text": tokenizer.decode(new, skip_special_tokens=True)}


def score(model, tokenizer, text):
    """Windows that do not overlap; the first token of each is not scored."""
    # add_bos_token is false in the file; transformers adds BOS all the same.
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    losses, best, margins = [], [], []
    for start in range(0, len(ids), CONTEXT):
        window = ids[start : start + CONTEXT]
        if len(window) < 2:
            continue
        with torch.no_grad():
            logits = model(torch.tensor([window])).logits[0, :-1].double()
        logprobs = torch.log_softmax(logits, -1)
        losses += (-logprobs[torch.arange(len(window) - 1), torch.tensor(window[1:])]).tolist()
        top = logprobs.topk(2)
        best += top.indices[:, 0].tolist()
        margins += (top.values[:, 0] - top.values[:, 1]).tolist()
    nll = sum(losses) / len(losses)
    rounded = [round(value, 5) for value in margins]
    return {"context": CONTEXT, "text": text, "ids": ids, "tokens": len(losses), "nll": nll, "perplexity": math.exp(nll), "best": best, "margins": rounded}


def main(path: Path) -> None:
    torch.manual_seed(0)
    source = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).eval()
    encoded = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in TEXTS]
    value = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "chats": [chat(model, tokenizer, messages) for messages in CONVERSATIONS],
        "encoded": encoded,
        "score": score(model, tokenizer, PASSAGE),
    }
    save_json("smollm2", value, 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
