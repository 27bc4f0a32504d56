"""Conversations as ids, and which of them are of the assistant, as apply_chat_template of transformers says."""

import json

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fixture import save_json

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# The answer and the token that ends its turn are what is generated; the line break behind it is not.
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONVERSATIONS = [
    [("user", "Why is the sky blue?"), ("assistant", "Rayleigh scattering.")],
    [
        ("system", "Be brief."),
        ("user", "你好"),
        ("assistant", "你好！有什么可以帮你？"),
        ("user", "  two  spaces\n"),
        ("assistant", "Yes 🙂"),
    ],
    [("user", "Write code"), ("assistant", "```ts\nconst x = 1;\n```\n\n"), ("user", "thanks")],
]


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator([content for turns in CONVERSATIONS for _, content in turns], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def plain(template: str) -> str:
    """Without the marks: what models are shipped with."""
    return template.replace("{% generation %}", "").replace("{% endgeneration %}", "")


if __name__ == "__main__":
    reference = tokenizer()
    cases = []
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in turns]
        encoded = reference.apply_chat_template(
            messages, chat_template=TEMPLATE, return_dict=True, return_assistant_tokens_mask=True
        )
        cases.append(
            {"messages": messages, "ids": encoded["input_ids"], "assistant": encoded["assistant_masks"]}
        )
    save_json(
        "chat-masks",
        {
            "made": {"by": "make_chat_masks.py", "transformers": transformers.__version__},
            "template": plain(TEMPLATE),
            "endOfTurn": "<|im_end|>",
            "cases": cases,
            "tokenizer": json.loads(reference.backend_tokenizer.to_str()),
        },
    )
