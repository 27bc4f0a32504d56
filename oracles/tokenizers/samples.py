"""The texts that the tokenizers of make_tokenizers.py are trained on and tried with."""

import random
import unicodedata

ENGLISH = [
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, "
    "and dedicated to the proposition that all men are created equal.",
    "Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, "
    "can long endure. We are met on a great battle-field of that war.",
    "We have come to dedicate a portion of that field, as a final resting place for those who here gave their lives "
    "that that nation might live. It is altogether fitting and proper that we should do this.",
    "But, in a larger sense, we can not dedicate -- we can not consecrate -- we can not hallow -- this ground. The brave "
    "men, living and dead, who struggled here, have consecrated it, far above our poor power to add or detract.",
    "The world will little note, nor long remember what we say here, but it can never forget what they did here. It's "
    "for us the living, rather, to be dedicated here to the unfinished work; don't we'll they've I'm you're he'd?",
]
CHINESE = [
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。",
    "汉朝自高祖斩白蛇而起义，一统天下，后来光武中兴，传至献帝，遂分为三国。推其致乱之由，殆始于桓、灵二帝。",
    "桓帝禁锢善类，崇信宦官。及桓帝崩，灵帝即位，大将军窦武、太傅陈蕃，共相辅佐。",
]
CODE = [
    "for (let i = 0; i < 10; i++) {\n\tif (a[i] !== b[i]) {\n\t\treturn false;\r\n\t}\r\n}\n",
    "x = [1, 22, 333, 4444, 55555]  # 3.14159 and 1e-05\n\n\nprint(x)\n",
]
CORPUS = (ENGLISH + CHINESE + CODE) * 4 + ["naïve café — 🙂🙂 👍🏽 Ωμέγα Привет"] * 3

PIECES = [
    *"abcdeABCST ,.!?'-_()[]{}<>/\\\"#$%&*+=~`^@:;019",
    "\t", "\n", "\r\n", "\r", "  ", "   ", "\n\n", " \n ", "\x00", "\x01", "\x0b", "\x0c", "\x1b", "\x7f", "\x85",
    "\u00a0", "\u2003", "\u2028", "\u3000", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u017f", "\u212a",
    "é", "e\u0301", "ñ", "ß", "İ", "ﬁ", "Å", "²", "Ⅷ", "١", "½",
    "天", "下", "大势", "，", "。", "「", "한국", "あいう", "アー", "กำ", "الله", "हिन्दी",
    "🙂", "👩‍👩‍👧", "🇨🇳", "👍🏽", "𝒳", "𐐷", "\ue000", "▁", "Ġ", "Ċ", "<0x0A>",
    "'s", "'S", "'\u017f", "'ll", "'RE", "don't", "the", " the", "nation", " dedicated", "1234567", "3.14",
    "<|endoftext|>", "<|im_start|>", "<tool>", "[MASK]", "<s>", "</s>", "<unk>",
]


def random_text(rng: random.Random, pieces: int) -> str:
    return "".join(rng.choice(PIECES) for _ in range(pieces))


def assigned_characters(rng: random.Random, count: int) -> str:
    """Characters of all planes that Unicode 13 knows, so that newer and older tables agree on their classes."""
    old = unicodedata.ucd_3_2_0
    characters: list[str] = []
    while len(characters) < count:
        character = chr(rng.choice([rng.randrange(0x3000), rng.randrange(0xD7FF), rng.randrange(0xE000, 0x1FAFF)]))
        if old.category(character) not in ("Cn", "Cs") and unicodedata.category(character) == old.category(character):
            characters.append(character)
    return "".join(characters)


def texts() -> list[str]:
    rng = random.Random(7)
    samples = ["", " ", "  ", "\n", "a", "天", "🙂", *ENGLISH[:2], *CHINESE[:2], *CODE, "=" * 70 + "-" * 71 + " " * 60 + "天" * 30]
    samples += [random_text(rng, rng.choice([1, 2, 3, 5, 10, 25])) for _ in range(70)]
    samples += [assigned_characters(rng, 12) for _ in range(20)]
    return samples
