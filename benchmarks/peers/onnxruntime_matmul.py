"""onnxruntime's f32 matrix product x [M, K] · W [K, N].

    python onnxruntime_matmul.py [--constant] [--threads N]

`run N MxKxN` repeats the product of one shape. With --constant W is part of the model, so that onnxruntime packs it
once, ahead of time. The model is written here by hand: one node needs no package. See protocol.py.
"""

import argparse
import time

import numpy as np
import onnxruntime
import protocol

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--constant", action="store_true")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

FLOAT = 1  # TensorProto.DataType


def number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(index: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer: a varint, or bytes with their length."""
    if isinstance(value, int):
        return number(index << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(index << 3 | 2) + number(len(data)) + data


def tensor_type(name: str, shape: tuple[int, ...]) -> bytes:
    """ValueInfoProto"""
    sizes = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, sizes)))


def matmul_model(weight: np.ndarray, m: int) -> bytes:
    """ModelProto of y = x · W"""
    k, n = weight.shape
    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "MatMul")
    graph = field(1, node) + field(2, "product")
    if options.constant:
        sizes = b"".join(field(1, size) for size in weight.shape)
        graph += field(5, sizes + field(2, FLOAT) + field(8, "w") + field(9, weight.tobytes()))
    else:
        graph += field(11, tensor_type("w", (k, n)))
    graph += field(11, tensor_type("x", (m, k))) + field(12, tensor_type("y", (m, n)))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, graph)


class Product:
    def __init__(self, m: int, k: int, n: int) -> None:
        random = np.random.default_rng(options.seed)
        weight = random.standard_normal((k, n), dtype=np.float32)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.add_session_config_entry("session.force_spinning_stop", "1")  # not between two runs of a benchmark
        model = matmul_model(weight, m)
        self.session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        x = random.standard_normal((m, k), dtype=np.float32)
        values = {"x": x} if options.constant else {"x": x, "w": weight}
        # Bound once, the output too: no copies are measured.
        self.binding = self.session.io_binding()
        for name, value in values.items():
            self.binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
        y = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty((m, n), np.float32))
        self.binding.bind_ortvalue_output("y", y)
        self.session.run_with_iobinding(self.binding)

    def seconds(self) -> float:
        started = time.perf_counter()
        self.session.run_with_iobinding(self.binding)
        return time.perf_counter() - started


def main() -> None:
    products: dict[str, Product] = {}

    def run(count: int, what: str) -> dict:
        if what not in products:
            products.clear()
            products[what] = Product(*(int(size) for size in what.split("x")))
        seconds = [products[what].seconds() for _ in range(count)]
        return {"seconds": sum(seconds), "best": min(seconds)}

    protocol.serve({"peer": f"onnxruntime {onnxruntime.__version__}", "threads": options.threads}, run)


if __name__ == "__main__":
    main()
