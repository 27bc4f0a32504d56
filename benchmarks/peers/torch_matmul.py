"""PyTorch's matrix products x [M, K] · weightᵀ [K, N], the product of a linear layer.

    python torch_matmul.py [--dtype f32|bf16|int8|int8-dynamic] [--shapes 2048x256x688,512x512x512] [--threads N]

f32 and bf16: torch.mm; int8: torch._int_mm (integers in, 32-bit sums out); int8-dynamic: a dynamically quantised
linear layer (f32 in and out, weights per channel). A run of N gives, for each shape M×K×N, the mean and best
seconds of N products and the best's 2·M·K·N / second in GFLOP/s (or GOP/s); `run N MxKxN` does it for one shape, which need not be listed. See protocol.py for the conversation.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dtype", choices=["f32", "bf16", "int8", "int8-dynamic"], default="f32")
parser.add_argument("--shapes", default="512x512x512,1024x1024x1024,2048x2048x2048,2048x256x688", help="MxKxN, …")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(options.threads)


def product(m: int, k: int, n: int) -> Callable[[], object]:
    """One product over inputs made here."""
    if options.dtype == "int8":
        x, weight = (torch.randint(-127, 128, size, dtype=torch.int8) for size in ((m, k), (n, k)))
        return lambda: torch._int_mm(x, weight.T)
    if options.dtype == "int8-dynamic":
        warnings.filterwarnings("ignore")  # the quantisation tools announce their move to another package
        layer = nn.Sequential(nn.Linear(k, n, bias=False))
        quantized = torch.ao.quantization.quantize_dynamic(layer, {nn.Linear}, torch.qint8)
        x = torch.randn(m, k)
        return lambda: quantized(x)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    x, weight = torch.randn(m, k, dtype=dtype), torch.randn(n, k, dtype=dtype)
    return lambda: torch.mm(x, weight.T)


def timed(compute: Callable[[], object]) -> float:
    started = time.perf_counter()
    compute()
    return time.perf_counter() - started


def main() -> None:
    torch.manual_seed(options.seed)
    torch.set_grad_enabled(False)
    sizes = {text: [int(size) for size in text.split("x")] for text in options.shapes.split(",") if text}
    listed = list(sizes)
    products = {text: product(*size) for text, size in sizes.items()}

    def one(count: int, text: str) -> dict:
        if text not in products:
            sizes[text] = [int(size) for size in text.split("x")]
            products.clear()  # at most one shape besides the listed ones is kept
            products[text] = product(*sizes[text])
            products[text]()
        m, k, n = sizes[text]
        seconds = [timed(products[text]) for _ in range(count)]
        best = min(seconds)
        return {"seconds": sum(seconds), "best": best, "gflops": 2e-9 * m * k * n / best}

    def run(count: int, what: str | None = None) -> dict:
        if what:
            return one(count, what)
        results = {text: one(count, text) for text in listed}
        for result in results.values():
            result["seconds"] /= count
        return {"seconds": count * sum(r["seconds"] for r in results.values()), "shapes": results}

    if listed:
        run(3)
    ready = {"peer": f"PyTorch {torch.__version__}", "dtype": options.dtype, "threads": torch.get_num_threads()}
    protocol.serve(ready | {"shapes": listed}, run)


if __name__ == "__main__":
    main()
