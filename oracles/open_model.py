"""Opens checkpoint directories with transformers and gives their logits: proof that what we write, others can read.

    python open_model.py DIR IDS_JSON [OUT.safetensors]
    python open_model.py FOLDER IDS_JSON OUT_FOLDER      every directory in FOLDER, to OUT_FOLDER/NAME.safetensors

IDS_JSON is a file or JSON itself: a row of token ids, or several rows of equal length. The result has `input_ids`
[B, T] (i32), `logits` [B, T, V] (f32, computed in f32 whatever the weights are stored in; of a classifier [B, L]) and
`loss` (mean cross-entropy of the shifted tokens, of language models); without OUT it goes to standard output. Weights that
are missing, left over or of another shape are an error (exit code 1), because transformers would fill in random numbers
and go on. Blocks that predict further tokens may be left over: transformers loads them on its own.
"""

import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification


def read_ids(argument: str) -> torch.Tensor:
    text = argument if argument.lstrip().startswith("[") else Path(argument).read_text()
    ids = torch.tensor(json.loads(text), dtype=torch.long)
    return ids if ids.ndim == 2 else ids[None]


def predicts_further(name: str, layers: int) -> bool:
    match = re.match(r"model\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) >= layers


def open_strictly(directory: Path):
    config = AutoConfig.from_pretrained(directory)
    is_classifier = config.architectures[0].endswith("ForSequenceClassification")
    model, info = (AutoModelForSequenceClassification if is_classifier else AutoModelForCausalLM).from_pretrained(
        directory, dtype=torch.float32, local_files_only=True, output_loading_info=True, attn_implementation="eager"
    )
    layers = config.num_hidden_layers
    wrong = {key: sorted(n for n in map(str, names) if not predicts_further(n, layers)) for key, names in info.items()}
    wrong = {key: names for key, names in wrong.items() if names}
    if wrong:
        sys.exit(f"open_model.py: {directory} does not fit its config.json: {json.dumps(wrong)}")
    return model.eval(), is_classifier


def compute(directory: Path, ids: torch.Tensor) -> bytes:
    model, is_classifier = open_strictly(directory)
    with torch.no_grad():
        logits = model(ids).logits.float().contiguous()
    tensors = {"input_ids": ids.int(), "logits": logits}
    if not is_classifier:
        tensors["loss"] = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    return save(tensors)


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    folder, ids = Path(sys.argv[1]), read_ids(sys.argv[2])
    if not (folder / "config.json").exists():
        for directory in sorted(path for path in folder.iterdir() if path.is_dir()):
            (Path(sys.argv[3]) / f"{directory.name}.safetensors").write_bytes(compute(directory, ids))
    elif len(sys.argv) == 4:
        Path(sys.argv[3]).write_bytes(compute(folder, ids))
    else:
        sys.stdout.buffer.write(compute(folder, ids))


if __name__ == "__main__":
    main()
