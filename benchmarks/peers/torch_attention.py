"""PyTorch's causal attention (scaled_dot_product_attention), forward or forward and backward.

    python torch_attention.py [--dtype f32|bf16] [--shapes 1x8x8x1024x64] [--window N] [--backward] [--threads N]

Shapes are B×H×K×T×D: batch, query heads, key heads, tokens, head size. Fewer key heads than query heads are repeated first
(the time counts), as transformers does. A window becomes a boolean mask, which torch has to read in full.
A run of N gives, for each shape, the mean and best seconds and the best's GFLOP/s, counting only pairs that see each
other: 4·D per pair and head forward, 2.5 times that backward. See protocol.py for the conversation.
"""

import argparse
import time
from collections.abc import Callable

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
parser.add_argument("--shapes", default="8x8x8x256x32,1x8x8x1024x64,1x8x2x1024x64", help="BxHxKxTxD, …")
parser.add_argument("--window", type=int)
parser.add_argument("--backward", action="store_true")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(options.threads)


def pairs(tokens: int) -> int:
    """How many (query, key) pairs see each other."""
    window = min(options.window or tokens, tokens)
    return window * (window + 1) // 2 + (tokens - window) * window


def attention(b: int, h: int, k: int, t: int, d: int) -> Callable[[], object]:
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    q, key, value = (torch.randn(b, n, t, d, dtype=dtype, requires_grad=options.backward) for n in (h, k, k))
    upstream = torch.randn(b, h, t, d, dtype=dtype)
    distance = torch.arange(t)[:, None] - torch.arange(t)
    mask = (distance >= 0) & (distance < options.window) if options.window else None

    def compute() -> None:
        keys, values = (x.repeat_interleave(h // k, 1) if h != k else x for x in (key, value))
        out = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, is_causal=mask is None)
        if options.backward:
            torch.autograd.grad(out, (q, key, value), upstream)

    return compute


def timed(compute: Callable[[], object]) -> float:
    started = time.perf_counter()
    compute()
    return time.perf_counter() - started


def main() -> None:
    torch.manual_seed(options.seed)
    sizes = {text: [int(size) for size in text.split("x")] for text in options.shapes.split(",")}
    attentions = {text: attention(*size) for text, size in sizes.items()}

    def run(count: int) -> dict:
        results = {}
        for text, (b, h, _, t, d) in sizes.items():
            seconds = [timed(attentions[text]) for _ in range(count)]
            best = min(seconds)
            work = 4e-9 * b * h * d * pairs(t) * (3.5 if options.backward else 1)
            results[text] = {"seconds": sum(seconds) / count, "best": best, "gflops": work / best}
        return {"seconds": count * sum(r["seconds"] for r in results.values()), "shapes": results}

    run(3)
    ready = {
        "peer": f"PyTorch {torch.__version__}",
        "dtype": options.dtype,
        "backward": options.backward,
        "window": options.window,
        "threads": torch.get_num_threads(),
    }
    protocol.serve(ready | {"shapes": list(sizes)}, run)


if __name__ == "__main__":
    main()
