"""
Logits of a GGUF file as transformers computes them in f32 from its dequantised weights.

    python gguf_logits.py MODEL.gguf IDS.json OUT.safetensors

IDS.json: lists of token ids. OUT: for each list i a tensor `i` f32 [T, V].
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

path, ids, out = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3]
model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()
with torch.no_grad():
    logits = {str(i): model(torch.tensor([row])).logits[0].float().contiguous() for i, row in enumerate(ids)}
save_file(logits, out)
