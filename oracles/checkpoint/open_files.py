"""Opens files that @frugal/checkpoint wrote and prints what is in them: proof that others can read them.

    python open_files.py FILE...

Prints one JSON object: file name → { metadata, tensors: { name → [dtype, shape, SHA-256 of the bytes] } }. Files are
.safetensors (opened with safetensors, and whole directories with a `*.index.json` shard by shard) or .gguf (gguf).
"""

import hashlib
import json
import sys
from pathlib import Path

from gguf import GGUFReader
from gguf.constants import GGUFValueType
from safetensors import deserialize, safe_open


def digest(data) -> str:
    return hashlib.sha256(bytes(data)).hexdigest()


def open_safetensors(path: Path) -> dict:
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    tensors = {
        name: [spec["dtype"], list(spec["shape"]), digest(spec["data"])] for name, spec in deserialize(path.read_bytes())
    }
    return {"metadata": metadata, "tensors": tensors}


def open_index(path: Path) -> dict:
    weight_map = json.loads(path.read_text())["weight_map"]
    shards = {shard: open_safetensors(path.parent / shard)["tensors"] for shard in set(weight_map.values())}
    return {"metadata": None, "tensors": {name: shards[shard][name] for name, shard in weight_map.items()}}


def open_gguf(path: Path) -> dict:
    reader = GGUFReader(path)
    metadata = {
        key: field.contents()
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.") and field.types[:2] != [GGUFValueType.ARRAY, GGUFValueType.ARRAY]
    }
    tensors = {
        tensor.name: [tensor.tensor_type.name, [int(size) for size in reversed(tensor.shape)], digest(tensor.data)]
        for tensor in reader.tensors
    }
    return {"metadata": metadata, "tensors": tensors}


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    openers = {".safetensors": open_safetensors, ".json": open_index, ".gguf": open_gguf}
    print(json.dumps({path.name: openers[path.suffix](path) for path in map(Path, sys.argv[1:])}))


if __name__ == "__main__":
    main()
