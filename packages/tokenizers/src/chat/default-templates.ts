import type { Tokenizer } from '../tokenizer.js';

/** For a model of plain documents: no roles, as it never saw any. */
export const PLAIN_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}";

/** The most common layout, for models that have its tokens but come without a template. */
const CHATML_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** The template of a tokenizer that brings none: ChatML if it has those tokens, else the contents alone. */
export const defaultTemplate = (tokenizer: Tokenizer): string =>
  ['<|im_start|>', '<|im_end|>'].every((token) => tokenizer.idOf(token) !== undefined)
    ? CHATML_TEMPLATE
    : PLAIN_TEMPLATE;
