"""A layer of experts as a loop of PyTorch matrix products, forward and both gradients.

    python torch_experts.py [--threads N]

16,384 rows (2,048 tokens to 8 of 64 experts each) sorted by expert, x [rows, 512], weights [64, 512, 256]: for each expert
x·w, g·wᵀ and xᵀ·g into results that are there already. `run N DTYPE-LOAD` repeats it for f32 or bf16 and balanced or Zipf
loads and gives the seconds. See protocol.py for the conversation.
"""

import argparse
import time

import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
protocol.prepare(options.threads)

import torch  # noqa: E402

torch.set_num_threads(options.threads)
ROWS, E, C, F = 2048 * 8, 64, 512, 256


def offsets(load: str) -> list[int]:
    weights = [1.0 if load == "balanced" else 1 / (e + 1) for e in range(E)]
    ends, total, running = [0], sum(weights), 0.0
    for weight in weights:
        running += weight
        ends.append(round(ROWS * running / total))
    return ends


class Layer:
    def __init__(self, dtype: torch.dtype) -> None:
        self.x, self.g = torch.randn(ROWS, C).to(dtype), torch.randn(ROWS, F).to(dtype)
        self.weight = torch.randn(E, C, F).to(dtype)
        self.y, self.dx = torch.empty(ROWS, F, dtype=dtype), torch.empty(ROWS, C, dtype=dtype)
        self.dw = torch.empty(E, C, F, dtype=dtype)

    def step(self, ends: list[int]) -> None:
        for e in range(E):
            rows = slice(ends[e], ends[e + 1])
            torch.mm(self.x[rows], self.weight[e], out=self.y[rows])
            torch.mm(self.g[rows], self.weight[e].T, out=self.dx[rows])
            torch.mm(self.x[rows].T, self.g[rows], out=self.dw[e])


def main() -> None:
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    layers = {"f32": Layer(torch.float32), "bf16": Layer(torch.bfloat16)}
    loads = {load: offsets(load) for load in ("balanced", "Zipf")}

    def run(count: int, what: str = "f32-balanced") -> dict:
        dtype, load = what.split("-")
        started = time.perf_counter()
        for _ in range(count):
            layers[dtype].step(loads[load])
        return {"seconds": (time.perf_counter() - started) / count}

    for dtype in layers:
        run(2, f"{dtype}-balanced")
    protocol.serve({"peer": f"PyTorch {torch.__version__}", "threads": torch.get_num_threads()}, run)


if __name__ == "__main__":
    main()
