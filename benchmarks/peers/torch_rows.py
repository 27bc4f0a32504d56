"""PyTorch's ops over rows: norms with their residual sum, rope, gated activation, embedding gradient.

    python torch_rows.py [--dtype f32|bf16] [--threads N]

It is asked for one op and shape at a time: `run N OPxROWSxCOLUMNS`, e.g. `run 10 add-rms-norm-backwardx2048x256`. See
protocol.py for the conversation.
"""

import argparse
import time
from collections.abc import Callable

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(options.threads)
DTYPE = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
HEAD, VOCABULARY = 64, 32768


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=DTYPE)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """As transformers does it: halves against each other."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def forward_of(op: str, rows: int, columns: int) -> tuple[Callable[[], torch.Tensor], list[torch.Tensor]]:
    weight = draw(columns)
    x, y = draw(rows, columns), draw(rows, columns)
    if op == "rms-norm":
        return lambda: F.rms_norm(x, [columns], weight, 1e-5), [x, weight]
    if op == "add-rms-norm":
        return lambda: F.rms_norm(x + y, [columns], weight, 1e-5), [x, y, weight]
    if op == "layer-norm":
        bias = draw(columns)
        return lambda: F.layer_norm(x, [columns], weight, bias, 1e-5), [x, weight, bias]
    if op == "swiglu":
        return lambda: F.silu(x) * y, [x, y]
    if op == "rope":
        heads = draw(rows, columns // HEAD, HEAD)
        cos, sin = draw(rows, 1, HEAD), draw(rows, 1, HEAD)
        return lambda: rotate(heads, cos, sin), [heads]
    if op == "embedding":
        table, ids = draw(VOCABULARY, columns), torch.randint(0, VOCABULARY, (rows,))
        return lambda: F.embedding(ids, table), [table]
    raise ValueError(f"no op {op}")


def prepared(what: str) -> Callable[[], float]:
    name, rows, columns = what.split("x")
    backward = name.endswith("-backward")
    compute, leaves = forward_of(name.removesuffix("-backward"), int(rows), int(columns))
    torch.set_grad_enabled(backward)
    for leaf in leaves:
        leaf.requires_grad_(backward)
    upstream = torch.randn_like(compute().detach())

    def once() -> float:
        started = time.perf_counter()
        out = compute()
        if backward:
            started = time.perf_counter()
            torch.autograd.grad(out, leaves, upstream)
        return time.perf_counter() - started

    return once


def main() -> None:
    known: dict[str, Callable[[], float]] = {}

    def run(count: int, what: str) -> dict:
        if what not in known:
            known.clear()
            known[what] = prepared(what)
            known[what]()
        seconds = [known[what]() for _ in range(count)]
        return {"seconds": sum(seconds), "best": min(seconds)}

    protocol.serve({"peer": f"PyTorch {torch.__version__}", "dtype": options.dtype, "threads": torch.get_num_threads()}, run)


if __name__ == "__main__":
    main()
