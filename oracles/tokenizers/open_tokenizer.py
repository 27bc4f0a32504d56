"""Opens a tokenizer that we saved with transformers: proof that what we write, others can read.

    python open_tokenizer.py DIR INPUT.json

INPUT holds `texts` and `messages` (or null). Prints JSON: `ids` of the texts, the texts `decoded` from them, the
rendered `chat`, and the id of `bos`.
"""

import json
import sys

from transformers import AutoTokenizer


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], local_files_only=True)
    with open(sys.argv[2], encoding="utf-8") as file:
        given = json.load(file)
    ids = [tokenizer.encode(text) for text in given["texts"]]
    messages = given["messages"]
    result = {
        "ids": ids,
        "decoded": [tokenizer.decode(row) for row in ids],
        "chat": tokenizer.apply_chat_template(messages, tokenize=False) if messages else None,
        "bos": tokenizer.bos_token_id,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
