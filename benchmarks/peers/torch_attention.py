"""PyTorch's attention (scaled_dot_product_attention), forward, backward, or of one token over a cache.

    python torch_attention.py [--dtype f32|bf16] [--window N] [--backward] [--threads N]

It is asked for one shape at a time: `run N BxHxKxTxD`, which are sequences, query heads, key heads, tokens and head size,
or `run N BxHxKxTxDxQ` with only the last Q tokens as queries (decoding). Fewer key heads than query heads go through
`enable_gqa`. A window becomes a boolean mask, which torch has to read in full. `--backward` times the gradient alone: the
forward pass before it does not count. See protocol.py for the conversation.
"""

import argparse
import time
from collections.abc import Callable

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
parser.add_argument("--window", type=int)
parser.add_argument("--backward", action="store_true")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(options.threads)


def attention(b: int, h: int, k: int, t: int, d: int, queries: int | None = None) -> Callable[[], float]:
    """Computes once, and returns the seconds that count."""
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    rows = queries or t
    # Heads cut out of rows, as a projection leaves them.
    q, key, value = (
        torch.randn(b, n, heads, d, dtype=dtype).transpose(1, 2).requires_grad_(options.backward)
        for n, heads in ((rows, h), (t, k), (t, k))
    )
    upstream = torch.randn(b, h, rows, d, dtype=dtype)
    distance = torch.arange(t - rows, t)[:, None] - torch.arange(t)
    mask = (distance >= 0) & (distance < options.window) if options.window else None
    causal = mask is None and rows == t

    def compute() -> float:
        started = time.perf_counter()
        out = F.scaled_dot_product_attention(q, key, value, attn_mask=mask, is_causal=causal, enable_gqa=h != k)
        if options.backward:
            started = time.perf_counter()
            torch.autograd.grad(out, (q, key, value), upstream)
        return time.perf_counter() - started

    return compute


def main() -> None:
    torch.manual_seed(options.seed)
    torch.set_grad_enabled(options.backward)
    known: dict[str, Callable[[], float]] = {}

    def run(count: int, what: str) -> dict:
        if what not in known:
            known.clear()
            known[what] = attention(*(int(size) for size in what.split("x")))
            known[what]()
        seconds = [known[what]() for _ in range(count)]
        return {"seconds": sum(seconds), "best": min(seconds)}

    ready = {"peer": f"PyTorch {torch.__version__}", "dtype": options.dtype, "backward": options.backward}
    protocol.serve(ready | {"threads": torch.get_num_threads()}, run)


if __name__ == "__main__":
    main()
