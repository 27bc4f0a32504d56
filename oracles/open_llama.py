"""Opens a checkpoint directory with transformers and gives its logits: proof that what we write, others can read.

    python open_llama.py DIR IDS_JSON [OUT.safetensors]

IDS_JSON is a file or JSON itself: a row of token ids, or several rows of equal length. The result has `input_ids`
[B, T] (i32), `logits` [B, T, V] (f32, computed in f32 whatever the weights are stored in) and `loss` (mean
cross-entropy of the shifted tokens); without OUT it goes to standard output. Weights that are missing, left over or
of another shape are an error (exit code 1), because transformers would fill in random numbers and go on.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn import functional as F
from transformers import AutoModelForCausalLM


def read_ids(argument: str) -> torch.Tensor:
    text = argument if argument.lstrip().startswith("[") else Path(argument).read_text()
    ids = torch.tensor(json.loads(text), dtype=torch.long)
    return ids if ids.ndim == 2 else ids[None]


def open_strictly(directory: str):
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    wrong = {key: sorted(map(str, names)) for key, names in info.items() if names}
    if wrong:
        sys.exit(f"open_llama.py: {directory} does not fit its config.json: {json.dumps(wrong)}")
    return model.eval()


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    ids = read_ids(sys.argv[2])
    model = open_strictly(sys.argv[1])
    with torch.no_grad():
        logits = model(ids).logits.float().contiguous()
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    data = save({"input_ids": ids.int(), "logits": logits, "loss": loss})
    if len(sys.argv) == 4:
        Path(sys.argv[3]).write_bytes(data)
    else:
        sys.stdout.buffer.write(data)


if __name__ == "__main__":
    main()
