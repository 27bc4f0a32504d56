"""PEFT's LoRA step: forward, backward, AdamW; rank 16 on all linear layers but the head, 4 × 512 tokens.

    python peft_lora_step.py --model FILE.gguf [--mode f32|bf16] [--threads N]

transformers unpacks the weights of the GGUF to f32; bf16 is autocast. See protocol.py for the conversation.
"""

import argparse
import resource
import time
from pathlib import Path

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True)
parser.add_argument("--mode", choices=["f32", "bf16"], default="f32")
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
protocol.prepare(options.threads)

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(options.threads)
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

SEQUENCES, TOKENS, RANK = 4, 512, 16


class Training:
    def __init__(self) -> None:
        file = Path(options.model).resolve()
        base = transformers.AutoModelForCausalLM.from_pretrained(
            str(file.parent), gguf_file=file.name, dtype=torch.float32
        )
        config = peft.LoraConfig(
            r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        torch.manual_seed(0)
        self.model = peft.get_peft_model(base, config).train()
        learned = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, lr=2e-4, weight_decay=0.0, fused=True)
        self.vocabulary = base.config.vocab_size

    def step(self) -> float:
        ids = torch.randint(self.vocabulary, (SEQUENCES, TOKENS))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.mode == "bf16"):
            loss = self.model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def run(self, count: int) -> dict:
        started = time.perf_counter()
        for _ in range(count):
            loss = self.step()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": seconds, "tokens": count * SEQUENCES * TOKENS, "loss": loss, "peakBytes": peak}


if __name__ == "__main__":
    training = Training()
    learned = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
    versions = f"PEFT {peft.__version__}, PyTorch {torch.__version__}, transformers {transformers.__version__}"
    protocol.serve({"peer": versions, "mode": options.mode, "parameters": learned}, training.run)
