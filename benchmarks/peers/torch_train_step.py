"""PyTorch's training step of a Llama of 6.8 M parameters: forward, backward, clipping to norm 1, AdamW.

    python torch_train_step.py [--mode f32|bf16|compile-f32|compile-bf16] [--threads N]

Hidden 256, 6 layers, 8 heads, feed-forward 688, vocabulary 4,096, untied: 6,843,648 parameters (tied it would be
5.8 M). Batch 8 × 256 tokens. The model computes what transformers' LlamaForCausalLM computes (eager, SDPA attention) with
the fewest torch calls; see protocol.py for the conversation.
"""

import argparse
import math
import resource
import time

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--mode", choices=["f32", "bf16", "compile-f32", "compile-bf16"], default="f32")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--warm-up", type=int, default=3)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(options.threads)

VOCABULARY, HIDDEN, LAYERS, HEADS, FEED_FORWARD = 4096, 256, 6, 8, 688
BATCH, TOKENS = 8, 256
HEAD_SIZE = HIDDEN // HEADS


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in range(4))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        split = (x.shape[0], x.shape[1], HEADS, HEAD_SIZE)
        q, k, v = (f(x).view(split).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))  # [B, H, T, D]
        attended = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(HIDDEN, FEED_FORWARD, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(FEED_FORWARD, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = (nn.RMSNorm(HIDDEN, eps=1e-5) for _ in range(2))
        self.attention, self.feed_forward = Attention(), FeedForward()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN, eps=1e-5)
        self.head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        angle = torch.outer(torch.arange(TOKENS), 10000.0 ** (-torch.arange(0, HEAD_SIZE, 2) / HEAD_SIZE))
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], -1))  # [T, D]
        self.register_buffer("sin", torch.cat([angle.sin(), angle.sin()], -1))
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions over halves of the head. [B, H, T, D]"""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Training:
    def __init__(self) -> None:
        torch.manual_seed(options.seed)
        self.model = Llama()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True
        )
        self.batches = torch.randint(VOCABULARY, (4, BATCH, TOKENS + 1))
        self.steps = 0
        self.compute = torch.compile(self.loss) if options.mode.startswith("compile") else self.loss

    def loss(self, ids: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.mode.endswith("bf16")):
            logits = self.model(ids[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())

    def step(self) -> Tensor:
        loss = self.compute(self.batches[self.steps % len(self.batches)])
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return loss.detach()

    def run(self, count: int) -> dict:
        started = time.perf_counter()
        for _ in range(count):
            loss = self.step()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": seconds, "tokens": count * BATCH * TOKENS, "loss": loss.item(), "peakBytes": peak}


def main() -> None:
    training = Training()
    parameters = sum(p.numel() for p in training.model.parameters())
    assert parameters == 6_843_648
    assert math.isfinite(training.run(options.warm_up)["loss"])
    ready = {
        "peer": f"PyTorch {torch.__version__}",
        "mode": options.mode,
        "threads": torch.get_num_threads(),
        "parameters": parameters,
        "tokensPerStep": BATCH * TOKENS,
        "seed": options.seed,
    }
    protocol.serve(ready, training.run)


if __name__ == "__main__":
    main()
