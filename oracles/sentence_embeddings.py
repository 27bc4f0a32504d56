"""Prints what transformers makes of texts with an encoder: ids and the vectors of sentence-transformers' recipe, in JSON.

    python oracles/sentence_embeddings.py FOLDER < texts.json

FOLDER is laid out as sentence-transformers does; its pooling and normalisation are computed here, as documented there.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

folder = Path(sys.argv[1])
texts = json.load(sys.stdin)
pooling = json.loads((folder / "1_Pooling/config.json").read_text())
longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
modules = [module["type"].split(".")[-1] for module in json.loads((folder / "modules.json").read_text())]
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

batch = tokenizer(texts, padding="longest", truncation=True, max_length=longest, return_tensors="pt")
with torch.no_grad():
    hidden = model(**batch).last_hidden_state
mask = batch["attention_mask"].unsqueeze(-1).float()
if pooling["pooling_mode_mean_tokens"]:
    vectors = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
else:
    vectors = hidden[:, 0]
if "Normalize" in modules:
    vectors = torch.nn.functional.normalize(vectors, dim=1)
ids = [row[kept.bool()].tolist() for row, kept in zip(batch["input_ids"], batch["attention_mask"])]
print(json.dumps({"ids": ids, "vectors": vectors.tolist()}))
