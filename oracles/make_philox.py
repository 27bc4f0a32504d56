"""Philox4x32-10 (Salmon et al. 2011): the published known answers, and streams of blocks in the order tensors use.

The generator is written from the paper for any word size. It is checked twice: its 32-bit form against the three
vectors that Random123 publishes, its 64-bit form against numpy.random.Philox, which is the same network.
"""

import numpy
from numpy.random import Philox

from fixture import save_json

CONSTANTS = {
    32: ((0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)),
    64: ((0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)),
}

# counter, key, result, as in the file kat_vectors of Random123
PUBLISHED = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""


def philox(counter: list[int], key: list[int], bits: int, rounds: int = 10) -> list[int]:
    """Four words from four counter words and two key words."""
    multipliers, increments = CONSTANTS[bits]
    mask = (1 << bits) - 1
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(rounds):
        a, b = multipliers[0] * c0, multipliers[1] * c2
        c0, c1, c2, c3 = (b >> bits) ^ c1 ^ k0, b & mask, (a >> bits) ^ c3 ^ k1, a & mask
        k0, k1 = (k0 + increments[0]) & mask, (k1 + increments[1]) & mask
    return [c0, c1, c2, c3]


def check_against_numpy() -> None:
    """numpy raises the counter before it draws."""
    key, counter = [0x0123456789ABCDEF, 0xFEDCBA9876543210], [5, 6, 7, 8]
    drawn = Philox(key=numpy.array(key, numpy.uint64), counter=numpy.array(counter, numpy.uint64)).random_raw(4)
    assert philox([6, 6, 7, 8], key, 64) == [int(word) for word in drawn]


def words(number: int, count: int) -> list[int]:
    """Least significant word first."""
    return [(number >> (32 * i)) & 0xFFFFFFFF for i in range(count)]


def stream(seed: int, first: int, blocks: int) -> dict:
    """Blocks of consecutive counters; the uniform numbers are the top 24 bits of each word."""
    drawn = [philox(words(first + i, 4), words(seed, 2), 32) for i in range(blocks)]
    return {
        "seed": seed,
        "counter": first,
        "words": sum(drawn, []),
        "uniform": [(w >> 8) / 2**24 for w in sum(drawn, [])],
    }


if __name__ == "__main__":
    check_against_numpy()
    answers = []
    for line in PUBLISHED.split("\n")[1:-1]:
        numbers = [int(word, 16) for word in line.split()]
        counter, key, expected = numbers[:4], numbers[4:6], numbers[6:]
        assert philox(counter, key, 32) == expected
        answers.append({"counter": counter, "key": key, "words": expected})
    # Seeds and counters beyond 32 bits, and a counter that carries into its second word.
    streams = [
        stream(0, 0, 4),
        stream(42, 7, 4),
        stream(2**53 - 1, 2**32 - 2, 4),
        stream(123456789012345, 2**40 + 1, 4),
    ]
    save_json("philox", {"made": {"by": "make_philox.py"}, "knownAnswers": answers, "streams": streams})
    print(f"philox: {len(answers)} published answers, {len(streams)} streams")
