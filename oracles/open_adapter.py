"""Opens adapters that we wrote with PEFT and gives the logits.

    python open_adapter.py BASE_DIR IDS_JSON OUT.safetensors ADAPTER_DIR...
"""

import json
import sys

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

base, ids, out, *adapters = sys.argv[1:]
results = {}
for i, adapter in enumerate(adapters):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        results[str(i)] = model(torch.tensor(json.loads(ids))).logits.contiguous()
save_file(results, out)
