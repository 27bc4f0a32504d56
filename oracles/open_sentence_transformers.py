"""Prints the vectors that sentence-transformers makes of texts, in JSON.

    python oracles/open_sentence_transformers.py FOLDER < texts.json
"""

import json
import sys

from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
print(json.dumps(model.encode(json.load(sys.stdin)).tolist()))
