import { chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import type { Check, Finding } from './finding.js';
import { GgufFields } from './gguf-fields.js';

/** What families call the token at the beginning of a text. Marks of turns such as <|im_start|> may follow any of them. */
const BEGINNINGS = [
  '<s>',
  '<bos>',
  '<|begin_of_text|>',
  '<|startoftext|>',
  '[BOS]',
  '<|begin▁of▁sentence|>',
  '<｜begin▁of▁sentence｜>',
];

/** What a GGUF file says of the first token of a text: the id, whether it is added, and what the chat template writes. */
export const ggufBos: Check = (patient) => {
  const { checkpoint, tokenizer } = patient;
  const fields = new GgufFields(patient);
  if (checkpoint.kind !== 'gguf' || !fields.tokens) return [];
  const adds = fields.tokenizer('add_bos_token');
  if (adds === true && fields.tokenizer('bos_token_id') === undefined) return [unnamedBos()];
  return tokenizer ? foreignBos(tokenizer) : [];
};

const unnamedBos = (): Finding => ({
  check: 'bos-id',
  level: 'error',
  what: 'texts are to begin with BOS, and the file does not say which token that is',
  evidence: 'tokenizer.ggml.add_bos_token is true, there is no tokenizer.ggml.bos_token_id',
  consequence:
    'llama.cpp takes 1 (SentencePiece) or 11 (byte-level BPE), whatever tokens these are; Frugal adds none.',
  fix: 'Set tokenizer.ggml.bos_token_id, or add_bos_token to false if the model was trained without.',
});

/** A template that writes the beginning of another model's texts, as a token or letter by letter. */
function foreignBos(tokenizer: Tokenizer): Finding[] {
  if (Object.keys(tokenizer.chatTemplates).length === 0) return [];
  let text: string;
  try {
    text = chatTemplate(tokenizer).apply([{ role: 'user', content: 'QUESTION' }]);
  } catch {
    return []; // which the check of the template says
  }
  const written = BEGINNINGS.find((mark) => text.startsWith(mark));
  const bos = tokenizer.bosId === undefined ? undefined : tokenizer.tokenOf(tokenizer.bosId);
  if (written === undefined || bos === undefined || text.startsWith(bos)) return [];
  const count = tokenizer.encode(written, { addSpecialTokens: false }).length;
  const id = tokenizer.idOf(written);
  return [
    {
      check: 'bos-mismatch',
      level: 'error',
      what: `the chat template begins with ${written}, tokenizer.ggml.bos_token_id is ${bos}`,
      evidence: `${written} is ${count === 1 ? `token ${id}` : `no token here, but ${count}`}; BOS is ${tokenizer.bosId}`,
      consequence: 'Chats and plain texts begin differently: one of the two as no text of the training did.',
      fix: `Begin the template with {{ bos_token }}, or set tokenizer.ggml.bos_token_id to the token that the model was trained with.`,
    },
  ];
}
