import type { ChatMessage, ChatTemplate, Tokenizer } from '@frugal/tokenizers';
import type { ChatExample } from './chat-example.js';

/** Tokens of one sequence, and for each the token to predict after it: -100 where nothing is to be learned. */
export interface TokenExample {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

/** Tokens start … end - 1 of a text. */
interface Span {
  readonly start: number;
  readonly end: number;
}

interface Rendered {
  /** The conversation up to the answer, with the beginning of an answer. */
  readonly before: string;
  /** The same with the answer. */
  readonly after: string;
}

const NONE = -100;

/**
 * A conversation as the model sees it, with the answers of the assistant as targets: their tokens and the one that ends the
 * turn, nothing else. One sequence, unless the template writes earlier answers in another way than the last (Qwen 3 leaves
 * their thoughts out): then each answer becomes a sequence of its own, as it would have been asked for.
 * @throws ChatTemplateError when the template refuses the messages
 */
export function encodeChat(
  example: ChatExample,
  tokenizer: Tokenizer,
  template: ChatTemplate,
): TokenExample[] {
  const { messages, tools } = example;
  const last = messages.findLastIndex(({ role }) => role === 'assistant');
  const whole = messages.slice(0, last + 1); // nothing is learned from what follows the last answer
  const answers = whole.flatMap((message, i) =>
    message.role === 'assistant' ? [renderAnswer(whole, i, tools, template)] : [],
  );
  const text = (answers.at(-1) as Rendered).after;
  const isOneText = answers.every(({ after }) => text.startsWith(after));
  const parts = isOneText
    ? [{ text, answers }]
    : answers.map((each) => ({ text: each.after, answers: [each] }));
  return parts.map((part) => encodePart(part.text, part.answers, tokenizer));
}

function renderAnswer(
  messages: readonly ChatMessage[],
  index: number,
  tools: readonly object[] | undefined,
  template: ChatTemplate,
): Rendered {
  const options = tools ? { tools } : {};
  const after = template.apply(messages.slice(0, index + 1), options);
  if (index > 0) {
    const before = template.apply(messages.slice(0, index), { ...options, addGenerationPrompt: true });
    return { before, after };
  }
  // Templates render no empty conversation: what stands before the first text.
  const { content } = messages[0];
  return { before: after.slice(0, Math.max(0, after.indexOf(String(content).trim()))), after };
}

function encodePart(text: string, answers: readonly Rendered[], tokenizer: Tokenizer): TokenExample {
  const encode = (part: string) => tokenizer.encode(part, { addSpecialTokens: false });
  let tokens = encode(text);
  // A token that covers the end of the prompt and the beginning of the answer belongs to the answer.
  const spans = answers.map(({ before, after }): Span => {
    const start = Math.max(1, commonLength(tokens, encode(before)));
    return { start, end: endOfTurn(tokens, start, commonLength(tokens, encode(after)), tokenizer) };
  });
  const { end } = spans[spans.length - 1];
  const isClosed = tokenizer.isSpecial(tokens[end - 1]) || tokenizer.eosIds.includes(tokens[end - 1]);
  tokens = tokens.slice(0, end);
  if (!isClosed && tokenizer.eosIds.length > 0) {
    // Templates of base models end no turn; without an end the model would never learn to stop.
    tokens = Int32Array.from([...tokens, tokenizer.eosIds[0]]);
    spans[spans.length - 1] = { start: spans[spans.length - 1].start, end: end + 1 };
  }
  const targets = new Int32Array(tokens.length).fill(NONE);
  for (const { start, end } of spans) targets.set(tokens.subarray(start, end), start - 1);
  return { tokens, targets };
}

/** Without the white space that templates put behind the token that ends a turn: generation has stopped there. */
function endOfTurn(tokens: Int32Array, start: number, end: number, tokenizer: Tokenizer): number {
  let last = end - 1;
  while (last >= start && !tokenizer.isSpecial(tokens[last])) last--;
  const isBlank = last >= start && tokenizer.decode(tokens.subarray(last + 1, end)).trim() === '';
  return isBlank ? last + 1 : end;
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
