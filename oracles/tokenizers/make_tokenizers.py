"""Makes packages/tokenizers/test/fixtures: tokenizers of every kind, and what the reference libraries do with them.

- corpus.json, texts.json         what they are trained on and tried with
- NAME.tokenizer.json             trained and written by Hugging Face's tokenizers
- NAME.expected.json              ids of the texts, and the texts of ids (real and random ones)
- sentencepiece.json              a SentencePiece BPE vocabulary as GGUF metadata, and what sentencepiece does with it
- pipelines.json                 what normalizers and pre-tokenizers make of short texts, every option of each
- chat.json                       conversations rendered by transformers
"""

import io
import json
import math
import random
from collections import Counter
from pathlib import Path

import sentencepiece
from pipelines import pipeline_cases
from samples import CORPUS, texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parents[2] / "packages" / "tokenizers" / "test" / "fixtures"
TEXTS = texts()
END = "<|endoftext|>"

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK_V3 = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]


def splits(*patterns: str):
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_level(pre_tokenizer, vocabulary_size: int = 480) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=[END, "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def gpt2() -> Tokenizer:
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))


def llama3() -> Tokenizer:
    tokenizer = byte_level(splits(LLAMA3), 600)
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])]
    )
    return tokenizer


def qwen2() -> Tokenizer:
    tokenizer = byte_level(splits(QWEN2))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=True, lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("nation", special=False, normalized=True, single_word=True)])
    return tokenizer


def deepseek() -> Tokenizer:
    return byte_level(splits(*DEEPSEEK_V3))


def smollm() -> Tokenizer:
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    return byte_level(pre_tokenizers.Sequence(steps))


def llama2() -> Tokenizer:
    """SentencePiece's kind in Hugging Face's form: marked spaces, unknown characters as bytes, no words."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # Chosen here: of equally frequent characters the trainer keeps any.
    alphabet = ranked(Counter("▁" + "".join(CORPUS).replace(" ", "▁")))[:60]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<unk>", "<s>", "</s>", *bytes_],
        initial_alphabet=alphabet,
        limit_alphabet=60,
        show_progress=False,
        max_token_length=12,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def mistral() -> Tokenizer:
    """The same vocabulary behind Metaspace, which marks the first word alone."""
    tokenizer = llama2()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    return tokenizer


# The library trains WordPiece, Unigram and BPE with suffixes differently in every run (hash order): these vocabularies are
# made here.


def ranked(counts: Counter) -> list[str]:
    return [item for item, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]


def corpus_words(tokenizer: Tokenizer) -> Counter:
    counts: Counter = Counter()
    for text in CORPUS:
        normalized = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized))
    return counts


def parts(words: Counter, longest: int) -> tuple[Counter, Counter]:
    """Substrings of words, weighted by length: those at the beginning, and the others."""
    first: Counter = Counter()
    later: Counter = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + longest) + 1):
                (later if start else first)[word[start:end]] += count * (end - start)
    return first, later


def bert() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = corpus_words(tokenizer)
    characters = sorted(set("".join(words)))
    first, later = parts(words, 9)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *("##" + c for c in characters)]
    tokens += ranked(first)[:150] + ["##" + part for part in ranked(later)[:100]]
    tokenizer.model = models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def t5() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    words = corpus_words(tokenizer)
    first, later = parts(words, 10)
    characters = Counter()
    for word, count in words.items():
        characters.update({character: word.count(character) * count for character in word})
    counts = characters + Counter({part: first[part] for part in ranked(first)[:120]}) + Counter({part: later[part] for part in ranked(later)[:80]})
    total = sum(counts.values())
    pieces = [(piece, round(math.log(counts[piece] / total), 6)) for piece in ranked(counts)]
    tokenizer.model = models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces], unk_id=2)
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def learn(words: dict[tuple[str, ...], int], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding, plainly: of equally frequent pairs the first in the alphabet."""
    merges = []
    for _ in range(count):
        pairs: Counter = Counter()
        for symbols, weight in words.items():
            pairs.update({pair: 0 for pair in zip(symbols, symbols[1:])})
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += weight
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged: dict[tuple[str, ...], int] = {}
        for symbols, weight in words.items():
            out: list[str] = []
            for symbol in symbols:
                if out and (out[-1], symbol) == best:
                    out[-1] += symbol
                else:
                    out.append(symbol)
            merged[tuple(out)] = merged.get(tuple(out), 0) + weight
        words = merged
    return merges


def clip() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    words = {(*word[:-1], word[-1] + "</w>"): count for word, count in sorted(corpus_words(tokenizer).items())}
    merges = learn(words, 200)
    characters = sorted({symbol.removesuffix("</w>") for word in words for symbol in word})
    tokens = [END, *characters, *(c + "</w>" for c in characters), *(left + right for left, right in merges)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer.model = models.BPE(vocabulary, merges, unk_token=END, end_of_word_suffix="</w>")
    tokenizer.add_special_tokens([END])
    return tokenizer


def words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(), pre_tokenizers.Punctuation("merged_with_previous")]
    )
    tokens = ["<unk>", *ranked(corpus_words(tokenizer))[:150]]
    tokenizer.model = models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>")
    tokenizer.add_special_tokens(["<unk>"])
    return tokenizer


def write(name: str, value: object) -> None:
    """One line per entry of the outermost level."""
    if isinstance(value, dict):
        body = ",\n".join(f"{json.dumps(key)}: {json.dumps(item, ensure_ascii=True)}" for key, item in value.items())
        text = f"{{\n{body}\n}}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(item, ensure_ascii=True) for item in value) + "\n]\n"
    (OUT / name).write_text(text)


def make_tokenizer(name: str, tokenizer: Tokenizer) -> None:
    (OUT / f"{name}.tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    rng = random.Random(name)
    size = tokenizer.get_vocab_size()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    randoms = [[rng.randrange(size + 2) for _ in range(rng.randrange(1, 14))] for _ in range(60)]
    write(
        f"{name}.expected.json",
        {
            "ids": ids,
            "withoutSpecialTokens": [row if row != ids[i] else None for i, row in enumerate(plain)],
            "texts": [tokenizer.decode(row, skip_special_tokens=False) for row in ids],
            "textsWithoutSpecialTokens": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
            "randomIds": randoms,
            "randomTexts": [tokenizer.decode(row, skip_special_tokens=False) for row in randoms],
        },
    )


def make_sentencepiece() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in CORPUS for line in text.splitlines()),
        model_writer=model,
        vocab_size=520,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.99,
        user_defined_symbols=["<tool>"],
        control_symbols=["<|im_start|>"],
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    count = processor.vocab_size()

    def kind(i: int) -> int:
        checks = [(processor.is_unknown, 2), (processor.is_control, 3), (processor.is_byte, 6), (processor.is_unused, 5)]
        special = next((number for check, number in checks if check(i)), None)
        return special or (4 if processor.id_to_piece(i) == "<tool>" else 1)

    # sentencepiece takes the names of control tokens as text, which ours reads as the tokens; and after a user-defined one
    # it puts no space, where llama.cpp, whose format GGUF is, puts one.
    chosen = [text for text in TEXTS if not any(name in text for name in ("<s>", "</s>", "<unk>", "<|im_start|>", "<tool>"))]
    ids = [processor.encode(text) for text in chosen]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.id_to_piece(i) for i in range(count)],
        "tokenizer.ggml.scores": [processor.get_score(i) for i in range(count)],
        "tokenizer.ggml.token_type": [kind(i) for i in range(count)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    write("sentencepiece.json", {"metadata": metadata, "inputs": chosen, "ids": ids, "texts": [processor.decode(row) for row in ids]})


CHAT_TEMPLATES = {
    "chatml": "{%- if tools %}\n<tools>\n{%- for tool in tools %}\n{{ tool | tojson }}\n{%- endfor %}\n</tools>\n{%- endif %}\n"
    "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') | trim + '<|im_end|>\\n' }}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}",
    "strict": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if loop.last and message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}{% else %}"
    "[{{ message.role | upper }}] {{ message.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "variables": "{% set ns = namespace(count=0) %}{% for message in messages %}{% if message.content is string %}"
    "{% set ns.count = ns.count + message.role | length %}{% endif %}{% endfor %}{{ ns.count }} {{ mode | default('plain') }}"
    "{% if unk_token is defined %} {{ unk_token }}{% endif %}{% for m in messages[::-1] %} {{ m['content'].split(' ')[0] }}{% endfor %}",
    "absent": "{% if tools is not none and tools | length > 0 %}{{ tools | length }} tools{% else %}no tools{% endif %}"
    "{% if documents is none %}, no documents{% endif %}{% if tools is defined and documents is defined %}, both named{% endif %}",
    # As models that think do: what stands before and after the thoughts, without its empty lines but with its spaces.
    "thoughts": "{% for message in messages %}{% set text = message.content or '' %}{% set thoughts = '' %}{% if '</think>' in text %}"
    "{% set thoughts = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{% set text = text.split('</think>')[-1].lstrip('\\n') %}{% endif %}[{{ thoughts.strip('\\n') }}]({{ text }})<{{ text | trim }}>{{ text | trim('\\n') }}"
    "{{ 'xyaxy'.strip('yx') }}{{ text.lstrip(' \\n').rstrip() }}{% endfor %}",
    # What is no text, printed: as Python writes it.
    "printed": "{{ none }}|{{ true }} {{ false }}|{{ missing }}|{{ [1, 2.0, 'a', none, true, [], {}] }}|{{ (1, 2) }}"
    "|{{ {'k': 'v', 'é': 0.1} }}|{{ 123456789.25 }} {{ 10 / 2 }} {{ 0.00001 }} {{ 2.5 * 10000000000000000 }} {{ -0.5 }}"
    "|{{ 'a' ~ none ~ true ~ 1.5 ~ missing ~ [1] }}|{{ ['a', none, true, 2.0] | join(', ') }}{{ 'abc' | join('-') }}{{ [1, 2] | join }}"
    "|{{ true | string }}{{ none | string }}{{ 2.0 | string | length }}|{% for m in messages %}{{ m }}{{ m.reply }}{% endfor %}|{{ tools }}"
    "|{% set x %}{{ none }}{% endset %}{{ x }}|{% macro f(a) %}<{{ a }}>{% endmacro %}{{ f(none) }}{{ f(true) ~ 'x' }}"
    "|{{ messages | length > 1 }} {{ none if true else 'x' }} {{ [none, 'x'] | first }} {{ missing is defined }} {{ mode or none }}",
    "line-ends": "{% for message in messages %}\r\n{{ message.role }}:\r\n  {%- if message.content %}\r\n x\r{% endif %}\r\n{% endfor %}\r\n",
}
CONVERSATIONS = [
    {"messages": [{"role": "user", "content": "Hello  there"}]},
    {"messages": [{"role": "user", "content": " 你好 🙂\n"}, {"role": "assistant", "content": "<b>Hi</b> & 'bye'"}], "addGenerationPrompt": True},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}], "addGenerationPrompt": True},
    {
        "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "é <x>", "parameters": {"type": "object", "n": 1.5}}}],
        "variables": {"mode": "tools"},
    },
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes", "reasoning": "so", "tool_calls": None}]},
    {
        "messages": [{"role": "user", "content": "Hm.", "reply": None, "quotes": "it's \"so\"", "marks": "'\\\t\x07\u200b\u3000🙂\ue000"}],
        "variables": {"mode": {"nested": [None, False, {"n": 1.25, "i": 3}]}},
    },
    {
        "messages": [
            {"role": "user", "content": "\u3000\x85Show it.\ufeff\x1c"},
            {"role": "assistant", "content": "\n<think>\n\n  indented \n</think>\n\n    code()\n  "},
        ]
    },
]


def make_chat(tokenizer: Tokenizer) -> None:
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token="<|im_start|>")

    def render(template: str, case: dict) -> dict:
        try:
            text = wrapped.apply_chat_template(
                case["messages"],
                tools=case.get("tools"),
                chat_template=template,
                add_generation_prompt=case.get("addGenerationPrompt", False),
                tokenize=False,
                **case.get("variables", {}),
            )
            return {"text": text}
        except Exception as error:  # noqa: BLE001: the message is what is compared
            return {"error": str(error)}

    results = {name: [render(template, case) for case in CONVERSATIONS] for name, template in CHAT_TEMPLATES.items()}
    write("chat.json", {"templates": CHAT_TEMPLATES, "conversations": CONVERSATIONS, "results": results})


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write("corpus.json", CORPUS)
    write("texts.json", TEXTS)
    for make in (gpt2, llama3, qwen2, deepseek, smollm, llama2, mistral, bert, t5, clip, words):
        make_tokenizer(make.__name__, make())
    make_sentencepiece()
    plain = [text for text in TEXTS if not any(special in text for special in (END, "<|im_start|>"))]
    write("pipelines.json", pipeline_cases(plain))
    make_chat(gpt2())
