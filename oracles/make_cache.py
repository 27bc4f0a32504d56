"""Attention over a paged cache, and writing 8-bit entries, from torch in float64.

cache.json and cache.safetensors are laid out as ops.json and ops.safetensors, see make_ops.py. Each sequence's keys are
first laid out plainly, attended to with torch's scaled_dot_product_attention (by hand where there is a soft cap), and then
cut into pages whose order is shuffled; what no sequence owns is filled with numbers that would be noticed.
"""

import torch
from torch.nn import functional as F

from fixture import save_json, save_tensors

Tensor = torch.Tensor
generator = torch.Generator().manual_seed(11)
tensors: dict[str, Tensor] = {}
cases: list[dict] = []
PAGE = 4


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    return (scale * torch.randn(shape, generator=generator)).double()


def add(name: str, op: str, inputs: dict[str, Tensor], attributes: dict, outputs: dict[str, Tensor]) -> None:
    parts = {f"in.{i}": t for i, t in inputs.items()} | {f"out.{i}": t for i, t in outputs.items()}
    tensors.update({f"{name}/{part}": t for part, t in parts.items()})
    listed = {"inputs": list(inputs), "outputs": list(outputs), "gradients": []}
    cases.append({"name": name, "op": op, "attributes": attributes} | listed)


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """int8 codes and one float32 scale per vector of the last axis, as torch quantises: max |x| becomes 127."""
    x = x.float()
    scale = x.abs().amax(-1) / 127
    codes = torch.round(x * (127 / x.abs().amax(-1, keepdim=True))).clamp(-127, 127)
    return codes.to(torch.int8), scale


def attend(q: Tensor, k: Tensor, v: Tensor, attributes: dict) -> Tensor:
    """q [Q, H, D]: the last Q positions of a sequence with keys k [L, K, D] and values v [L, K, Dv]."""
    Q, H, L = q.shape[0], q.shape[1], k.shape[0]
    distance = torch.arange(L - Q, L)[:, None] - torch.arange(L)
    mask = (distance >= 0) & (distance < attributes.get("window", L))
    q, k, v = (t.transpose(0, 1) for t in (q, k, v))  # [heads, rows, size]
    k, v = (t.repeat_interleave(H // t.shape[0], 0) for t in (k, v))
    cap = attributes.get("softCap")
    if cap is None:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=attributes["scale"])
    else:
        scores = cap * torch.tanh(attributes["scale"] * q @ k.mT / cap)
        out = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v
    return out.transpose(0, 1)


def into_pages(parts: list[Tensor], table: list[list[int]], pages: int) -> Tensor:
    cache = torch.full((pages * PAGE, *parts[0].shape[1:]), 77, dtype=parts[0].dtype)
    for part, own in zip(parts, table):
        for position in range(part.shape[0]):
            cache[own[position // PAGE] * PAGE + position % PAGE] = part[position]
    return cache


def cached(name: str, sequences: list[tuple[int, int]], H: int, K: int, D: int, V: int, q8: bool = False, latent: bool = False, **extra) -> None:
    attributes = {"scale": D**-0.5, "causal": True} | extra
    keys = [normal(length, K, D, scale=1.5) for length, _ in sequences]
    values = [k[..., :V] if latent else normal(k.shape[0], K, V) for k in keys]
    queries = [normal(count, H, D, scale=1.5) for _, count in sequences]
    scales: dict[str, Tensor] = {}
    stored = {"keys": keys, "values": values}
    if q8:
        pairs = {n: [quantize(x) for x in list_] for n, list_ in stored.items()}
        if latent:  # one scale for the whole vector, of which the value is a part
            pairs["values"] = [(codes[..., :V], scale) for codes, scale in pairs["keys"]]
        keys, values = ([codes.double() * scale.double()[..., None] for codes, scale in pairs[n]] for n in stored)
        stored = {n: [codes for codes, _ in pairs[n]] for n in stored}
    outputs = [attend(q, k, v, attributes) for q, k, v in zip(queries, keys, values)]
    counts = [-(-length // PAGE) for length, _ in sequences]
    order = torch.randperm(sum(counts) + 2, generator=generator).tolist()
    table = [[order.pop() for _ in range(count)] for count in counts]
    pages = sum(counts) + 2
    if q8:
        scales = {f"{n[:-1]}Scales": into_pages([scale for _, scale in pairs[n]], table, pages) for n in stored}
    width = max(counts)
    starts = [0]
    for _, count in sequences:
        starts.append(starts[-1] + count)
    inputs = {
        "q": torch.cat(queries),
        **{n: into_pages(list_, table, pages) for n, list_ in stored.items()},
        "starts": torch.tensor(starts),
        "pageTable": torch.tensor([own + [0] * (width - len(own)) for own in table]),
        "lengths": torch.tensor([length for length, _ in sequences]),
        **scales,
    }
    add(f"cached-{name}", "cachedAttention", inputs, attributes | {"pageSize": PAGE}, {"out": torch.cat(outputs)})


def attentions() -> None:
    cached("decode", [(7, 1), (300, 1), (1, 1)], 6, 2, 20, 20)
    cached("mixed", [(9, 1), (30, 12), (5, 5)], 4, 1, 16, 16)
    cached("window", [(40, 3), (11, 11)], 4, 2, 16, 16, window=6)
    cached("soft-cap-and-window", [(40, 3), (11, 11)], 4, 2, 16, 16, window=6, softCap=3.0)
    cached("expanded-latent", [(17, 1), (9, 9)], 4, 4, 24, 16)  # DeepSeek: 192 and 128
    cached("absorbed-latent", [(17, 1), (9, 9)], 5, 1, 36, 32, latent=True)  # 576, of which 512 are the value
    cached("q8", [(7, 1), (270, 2), (33, 33)], 6, 2, 20, 20, q8=True)
    cached("q8-window-and-soft-cap", [(40, 3), (11, 11)], 4, 2, 17, 13, q8=True, window=6, softCap=3.0)
    cached("q8-absorbed-latent", [(17, 1), (9, 9)], 5, 1, 36, 32, q8=True, latent=True)


def writes() -> None:
    rows = normal(3, 2, 19, scale=3)
    rows[1, 0] = 0
    codes, scales = torch.zeros(5, 2, 19, dtype=torch.int8), torch.zeros(5, 2)
    indices = torch.tensor([4, 0, 2])
    after = {"codes": codes.clone(), "scales": scales.clone()}
    nonzero = rows.abs().amax(-1) > 0
    written, factors = quantize(rows)
    after["codes"][indices] = torch.where(nonzero[..., None], written, 0)
    after["scales"][indices] = factors
    inputs = {"codes": codes, "scales": scales, "indices": indices, "rows": rows}
    add("write-quantized-rows", "writeQuantizedRows", inputs, {}, after)


if __name__ == "__main__":
    attentions()
    writes()
    save_tensors("cache", tensors)
    save_json("cache", {"made": {"by": "make_cache.py", "torch": torch.__version__}, "cases": cases})
    print(f"cache: {len(cases)} cases, {len(tensors)} tensors")
