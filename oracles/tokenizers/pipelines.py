"""Every option of normalizers and pre-tokenizers, and what Hugging Face's tokenizers makes of texts with them."""

import json

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def pipelines() -> dict[str, tuple]:
    """Normalizer and pre-tokenizer, one of them None."""
    p, n = pre_tokenizers, normalizers
    cuts: dict[str, object] = dict(
        bert=p.BertPreTokenizer(), whitespace=p.Whitespace(), spaces=p.WhitespaceSplit(), delimiter=p.CharDelimiterSplit("e")
    )
    cuts |= {f"digits {each}": p.Digits(each) for each in (False, True)}
    for behavior in BEHAVIORS:
        cuts[f"punctuation {behavior}"] = p.Punctuation(behavior)
        cuts[f"spaces, punctuation {behavior}"] = p.Sequence([p.WhitespaceSplit(), p.Punctuation(behavior)])
        for invert in (False, True):
            cuts[f"split {behavior} {invert}"] = p.Split(Regex(r"\p{N}+|[aeiou]"), behavior, invert=invert)
            cuts[f"split at spaces {behavior} {invert}"] = p.Split(" ", behavior, invert=invert)
    for scheme in ("never", "first", "always"):
        for split in (False, True):
            space = p.Metaspace(prepend_scheme=scheme, split=split)
            cuts[f"metaspace {scheme} {split}"] = space
            cuts[f"digits, metaspace {scheme} {split}"] = p.Sequence([p.Digits(True), space])
    for prefix in (False, True):
        for regex in (False, True):
            cuts[f"bytes {prefix} {regex}"] = p.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    changes: dict[str, object] = {kind: getattr(n, kind)() for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "ByteLevel")}
    changes |= {f"strip {left} {right}": n.Strip(left, right) for left, right in ((True, True), (True, False), (False, True))}
    changes |= dict(prepend=n.Prepend("_"), replace=n.Replace("a", "bb"), pattern=n.Replace(Regex(r"\s{2,}|(?i:the)"), "_"))
    for lowercase in (False, True):
        for accents in (False, True, None):
            for chinese in (False, True):
                bert_normalizer = n.BertNormalizer(handle_chinese_chars=chinese, strip_accents=accents, lowercase=lowercase)
                changes[f"bert {lowercase} {accents} {chinese}"] = bert_normalizer
    changes["bert, uncleaned"] = n.BertNormalizer(clean_text=False)
    return {name: (None, cut) for name, cut in cuts.items()} | {name: (change, None) for name, change in changes.items()}


def pipeline_cases(texts: list[str]) -> dict[str, object]:
    """Some short texts, and the words that each pipeline makes of them."""
    chosen = sorted((text for text in texts if text), key=len)[3:45:2]
    chosen += ["\ufeff a\x85 ", " it's 3.14, naïve--天下! ", "\u3000\x1cÅﬁ\u200b\t9x9 "]
    cases = {}
    for name, (normalizer, pre_tokenizer) in pipelines().items():
        tokenizer = Tokenizer(models.WordLevel({}, unk_token="<unk>"))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre_tokenizer is not None:
            tokenizer.pre_tokenizer = pre_tokenizer
        changed = [normalizer.normalize_str(text) if normalizer else text for text in chosen]
        words = [[word for word, _ in pre_tokenizer.pre_tokenize_str(text)] if pre_tokenizer else [text] for text in changed]
        state = json.loads(tokenizer.to_str())
        cases[name] = {"normalizer": state["normalizer"], "pre_tokenizer": state["pre_tokenizer"], "words": words}
    return {"texts": chosen} | cases
