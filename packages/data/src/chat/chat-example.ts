import type { ChatMessage } from '@frugal/tokenizers';
import { DataError } from '../errors.js';
import type { SourceRecord } from '../sources/record.js';

/** A conversation whose answers are to be learned, whatever layout it came in. */
export interface ChatExample {
  /** Where it came from: file and line. */
  readonly id: string;
  /** Roles are those of OpenAI: system, user, assistant, tool. At least one message is of the assistant. */
  readonly messages: readonly ChatMessage[];
  /** Functions that the model may call, as JSON schemas. */
  readonly tools?: readonly object[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Layouts in the order in which they are tried: the field that tells them, and how they are read. */
const layouts: readonly (readonly [field: string, read: (fields: Fields, place: string) => ChatMessage[]])[] =
  [
    ['messages', ({ messages }, place) => listOf(messages, place)],
    ['conversations', (fields, place) => [...systemOf(fields), ...listOf(fields.conversations, place)]],
    ['completion', promptAndCompletion],
    ['instruction', instructionAndOutput],
  ];

const EXPECTED =
  '{"messages": […]}, {"prompt", "completion"}, {"instruction", "input", "output"} or {"conversations": [{"from", "value"}, …]}';

/** Names that data sets give to the roles. */
const roles: Readonly<Record<string, string>> = {
  system: 'system',
  developer: 'developer',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  tool: 'tool',
  observation: 'tool',
  function: 'tool',
};

/** Whether a record is a conversation in one of the layouts that {@link chatExample} reads. */
export function isChatRecord(value: unknown): boolean {
  return layouts.some(([field]) => hasField(value, field));
}

/**
 * Reads a conversation: `messages` of OpenAI, `prompt` and `completion` (texts, or lists of messages as in TRL),
 * `instruction`, `input` and `output` of Alpaca (with `history` and `system`), or `conversations` of ShareGPT.
 * @throws DataError naming the place and what is wrong there
 */
export function chatExample({ place, value }: SourceRecord): ChatExample {
  const layout = layouts.find(([field]) => hasField(value, field));
  if (!layout) throw problem(place, 'the record is no conversation', shown(value), EXPECTED);
  const fields = value as Fields;
  const messages = layout[1](fields, place);
  for (const { content } of messages) {
    if (typeof content !== 'string' || content.isWellFormed()) continue;
    throw problem(place, 'the text is not valid Unicode', 'a lone surrogate', 'text.toWellFormed()');
  }
  const answers = messages.filter(({ role }) => role === 'assistant');
  if (answers.length === 0)
    throw problem(place, 'there is no answer to learn', listRoles(messages), 'a message of the assistant');
  if (answers.every(isEmpty)) throw problem(place, 'all answers are empty', shown(value), 'an answer');
  const { tools } = fields;
  return { id: place, messages, ...(Array.isArray(tools) && tools.length > 0 && { tools }) };
}

function promptAndCompletion({ prompt, completion }: Fields, place: string): ChatMessage[] {
  const side = (value: unknown, role: string, field: string): ChatMessage[] =>
    Array.isArray(value) ? listOf(value, place) : [{ role, content: textOf(value, field, place) }];
  return [...side(prompt, 'user', 'prompt'), ...side(completion, 'assistant', 'completion')];
}

function instructionAndOutput(fields: Fields, place: string): ChatMessage[] {
  const { instruction, input, output, history } = fields;
  const question = textOf(instruction, 'instruction', place);
  const details = input === undefined || input === null ? '' : textOf(input, 'input', place);
  const turns = (Array.isArray(history) ? history : []).flatMap((turn): ChatMessage[] => {
    const [asked, answered] = Array.isArray(turn) ? turn : [];
    return [
      { role: 'user', content: textOf(asked, 'history', place) },
      { role: 'assistant', content: textOf(answered, 'history', place) },
    ];
  });
  return [
    ...systemOf(fields),
    ...turns,
    { role: 'user', content: [question, details].filter((part) => part !== '').join('\n') },
    { role: 'assistant', content: textOf(output, 'output', place) },
  ];
}

function systemOf({ system }: Fields): ChatMessage[] {
  return typeof system === 'string' && system !== '' ? [{ role: 'system', content: system }] : [];
}

function listOf(value: unknown, place: string): ChatMessage[] {
  if (!Array.isArray(value)) throw problem(place, 'the messages are no list', shown(value), EXPECTED);
  return value.map((entry: unknown) => messageOf(entry, place));
}

/** `role` and `content`, or `from` and `value`; other fields stay, for templates that read them. */
function messageOf(entry: unknown, place: string): ChatMessage {
  const { role, from, content, value, ...others } = (entry ?? {}) as Fields;
  const given = role ?? from;
  if (typeof given !== 'string')
    throw problem(place, 'a message has no role', shown(entry), '"role" or "from"');
  const known = Object.hasOwn(roles, given) ? roles[given] : undefined;
  if (known === undefined)
    throw problem(place, 'a message has an unknown role', given, Object.keys(roles).join(', '));
  const text = content ?? value;
  // A call of a tool needs no text.
  if (text === undefined || text === null) {
    if (others.tool_calls) return { ...others, role: known, content: '' };
    throw problem(place, 'a message has no text', shown(entry), '"content" or "value"');
  }
  if (typeof text !== 'string' && !Array.isArray(text))
    throw problem(place, 'the content of a message is no text', shown(text), 'a text, or a list of parts');
  return { ...others, role: known, content: text };
}

function textOf(value: unknown, field: string, place: string): string {
  if (typeof value === 'string') return value;
  throw problem(place, `${field} is no text`, shown(value), 'a text');
}

function isEmpty({ content, tool_calls }: ChatMessage): boolean {
  return !tool_calls && (typeof content === 'string' ? content.trim() === '' : !content?.length);
}

function hasField(value: unknown, field: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, field);
}

const listRoles = (messages: readonly ChatMessage[]) =>
  messages.map(({ role }) => role).join(', ') || 'no messages';

const shown = (value: unknown) => `${JSON.stringify(value)}`.slice(0, 80);

function problem(file: string, what: string, got: string, expected: string): DataError {
  return new DataError({ file, what, got, expected });
}
