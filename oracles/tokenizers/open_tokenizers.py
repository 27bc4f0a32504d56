"""Opens tokenizers that we saved with transformers: proof that what we write, others can read.

    python open_tokenizers.py INPUT.json DIR...

INPUT holds `texts` and `messages`. Prints a JSON list with, for each directory, `ids` of the texts, the texts `decoded`
from them, the rendered `chat` (null without a template), and the id of `bos`.
"""

import json
import sys

from transformers import AutoTokenizer


def describe(directory: str, texts: list[str], messages: list[dict]) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    ids = [tokenizer.encode(text) for text in texts]
    return {
        "ids": ids,
        "decoded": [tokenizer.decode(row) for row in ids],
        "chat": tokenizer.apply_chat_template(messages, tokenize=False) if tokenizer.chat_template else None,
        "bos": tokenizer.bos_token_id,
    }


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    json.dump([describe(directory, given["texts"], given["messages"]) for directory in sys.argv[2:]], sys.stdout)


if __name__ == "__main__":
    main()
