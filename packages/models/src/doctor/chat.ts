import { chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import type { Check, Finding } from './finding.js';

const QUESTION = { role: 'user', content: 'QUESTION' };
const ANSWER = { role: 'assistant', content: 'ANSWER' };

/** What chat template, BOS and end-of-text tokens say of each other. */
export const chat: Check = ({ checkpoint, tokenizer }) => {
  if (!tokenizer || Object.keys(tokenizer.chatTemplates).length === 0) return [];
  let open: string;
  let whole: string;
  try {
    const template = chatTemplate(tokenizer);
    open = template.apply([QUESTION], { addGenerationPrompt: true });
    whole = template.apply([QUESTION, ANSWER]);
  } catch (error) {
    return [
      {
        check: 'chat-template',
        level: 'error',
        what: 'the chat template fails on the simplest conversation',
        evidence: (error as Error).message,
        consequence: 'Chat endpoints of transformers, vLLM and llama.cpp answer with an error.',
        fix: 'Take chat_template from the original repository.',
      },
    ];
  }
  return [
    ...beginning(tokenizer, open),
    ...missingTokens(tokenizer, open),
    ...ending(tokenizer, whole, checkpoint.kind === 'gguf'),
  ];
};

function beginning(tokenizer: Tokenizer, text: string): Finding[] {
  const { bosId } = tokenizer;
  if (bosId === undefined) return [];
  const bos = tokenizer.tokenOf(bosId) ?? '';
  const twice = text.startsWith(bos + bos);
  const [first, second] = tokenizer.encode(text);
  if (twice || (first === bosId && second === bosId)) {
    return [
      {
        check: 'double-bos',
        level: twice ? 'warning' : 'ok',
        what: twice
          ? `the chat template writes ${bos} twice`
          : `the chat template writes ${bos}, and the tokenizer adds it as well`,
        evidence: `a conversation that is encoded with special tokens starts with the ids ${first}, ${second}`,
        consequence: twice
          ? 'Every chat starts as no text of the training did.'
          : 'Usual, and a trap: scripts that encode the rendered text with special tokens start with two.',
        fix: twice ? 'Take one out of the template.' : 'Encode rendered chats without special tokens.',
      },
    ];
  }
  const addsBos = tokenizer.encode('a')[0] === bosId;
  if (addsBos && !text.startsWith(bos)) {
    return [
      {
        check: 'missing-bos',
        level: 'warning',
        what: `texts start with ${bos}, chats do not: the template leaves it out`,
        evidence: JSON.stringify(text.slice(0, 60)),
        consequence:
          'transformers and vLLM send chats without it, llama.cpp with it: answers differ between tools.',
        fix: 'If the model was trained with it, begin the template with {{ bos_token }}.',
      },
    ];
  }
  return [];
}

/** Marks such as <|im_start|> that the vocabulary does not have are spelled letter by letter. */
function missingTokens(tokenizer: Tokenizer, text: string): Finding[] {
  const marks = new Set(text.match(/<\|[\w ]+\|>|<(?:start|end)_of_turn>|\[\/?INST\]/g));
  const missing = [...marks].filter((mark) => tokenizer.encode(mark, { addSpecialTokens: false }).length > 1);
  if (missing.length === 0 || missing.every((mark) => mark.includes('INST'))) return [];
  return [
    {
      check: 'template-tokens',
      level: 'error',
      what: 'the chat template uses marks that are no tokens of this tokenizer',
      evidence: missing
        .map((mark) => `${mark} becomes ${tokenizer.encode(mark, { addSpecialTokens: false }).length} tokens`)
        .join(', '),
      consequence: 'The model sees letters instead of the beginning and end of a turn, and answers badly.',
      fix: 'Use the template of this model, or the tokenizer that belongs to the template.',
    },
  ];
}

/** The token that follows an answer must end generation. */
function ending(tokenizer: Tokenizer, text: string, isGguf: boolean): Finding[] {
  const after = text.slice(text.indexOf(ANSWER.content) + ANSWER.content.length);
  const ids = [...tokenizer.encode(after, { addSpecialTokens: false })];
  const end = ids.find((id) => tokenizer.isSpecial(id));
  if (end === undefined || tokenizer.eosIds.includes(end)) return [];
  return [
    {
      check: 'end-of-turn',
      level: 'error',
      what: `answers end with ${tokenizer.tokenOf(end)}, which is no end-of-text token`,
      evidence: `ends are ${tokenizer.eosIds.map((id) => tokenizer.tokenOf(id)).join(', ') || 'none'}`,
      consequence: 'Generation goes on after the answer, in every tool, until the limit.',
      fix: isGguf
        ? `Set tokenizer.ggml.eot_token_id to ${end}.`
        : `Add ${end} to eos_token_id in generation_config.json.`,
    },
  ];
}
