import { letterOf, MAX_CHOICES, type MultipleChoiceItem } from './item.js';

/** One line of a file, as it comes. */
export type Record_ = Readonly<Record<string, unknown>>;

/** The first of these fields that is there, whatever its capitals. */
export function fieldOf(record: Record_, names: readonly string[]): unknown {
  for (const name of names) {
    for (const [key, value] of Object.entries(record)) {
      if (key.toLowerCase() === name && value !== undefined && value !== null) return value;
    }
  }
  return undefined;
}

/** The item of a record, or what is wrong with it. */
export function multipleChoiceOf(
  record: Record_,
  { line, subject }: { readonly line: number; readonly subject?: string | undefined },
): MultipleChoiceItem | string {
  const stem = fieldOf(record, ['question', 'stem', 'query', 'prompt']);
  const nested = typeof stem === 'object' && stem !== null ? (stem as Record_) : undefined;
  const question = nested ? fieldOf(nested, ['stem', 'text']) : stem;
  if (typeof question !== 'string' || question.trim() === '') return 'no question';
  const { choices, labels } = choicesOf(
    fieldOf(record, ['choices', 'options']) ?? (nested && fieldOf(nested, ['choices'])) ?? lettered(record),
  );
  if (choices.length < 2) return `${choices.length} choices; at least 2 are needed`;
  if (choices.some((choice) => choice === '')) return 'an empty choice';
  if (choices.length > MAX_CHOICES) return `${choices.length} choices; at most ${MAX_CHOICES}`;
  const given = fieldOf(record, ['answer', 'answerkey', 'answer_key', 'gold', 'label', 'answer_idx']);
  const answer = answerOf(given, choices, labels);
  if (answer === undefined) return `the answer ${JSON.stringify(given ?? null)} names none of the choices`;
  const itemSubject = fieldOf(record, ['subject', 'category']) ?? subject;
  return {
    id: String(fieldOf(record, ['id', 'question_id']) ?? line),
    question: question.trim(),
    choices,
    answer,
    ...(itemSubject !== undefined && { subject: String(itemSubject) }),
  };
}

/** Columns A, B, C, …, as long as they are filled. */
function lettered(record: Record_): Readonly<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (let i = 0; i < MAX_CHOICES; i++) {
    const value = fieldOf(record, [letterOf(i).toLowerCase()]);
    if (value === undefined || String(value).trim() === '') break;
    found[letterOf(i)] = value;
  }
  return found;
}

interface Choices {
  readonly choices: readonly string[];
  /** What the answer may name them by; letters where the source has no labels. */
  readonly labels: readonly string[];
}

/** From a list, an object by label, ARC's `{ text, label }`, a list of such, or lines that begin with a letter. */
function choicesOf(source: unknown): Choices {
  if (typeof source === 'string') {
    const lines = [...source.matchAll(/^\s*\(?([A-Z])[.):：、]\s*(.+?)\s*$/gmu)];
    return { choices: lines.map(([, , text]) => text), labels: lines.map(([, label]) => label) };
  }
  if (Array.isArray(source)) {
    const objects = source.every((entry) => typeof entry === 'object' && entry !== null);
    if (!objects) return named(source.map(String));
    const texts = source.map((entry) => String(fieldOf(entry as Record_, ['text', 'option', 'content'])));
    return named(
      texts,
      source.map((entry, i) => String(fieldOf(entry as Record_, ['label', 'key']) ?? letterOf(i))),
    );
  }
  if (typeof source !== 'object' || source === null) return named([]);
  const { text, label } = source as { text?: unknown; label?: unknown };
  if (Array.isArray(text))
    return named(text.map(String), Array.isArray(label) ? label.map(String) : undefined);
  return named(Object.values(source).map(String), Object.keys(source));
}

function named(texts: readonly string[], labels?: readonly string[]): Choices {
  return { choices: texts.map((text) => text.trim()), labels: labels ?? texts.map((_, i) => letterOf(i)) };
}

/** An answer is a label (`B`, `2`, also as a number where the source has labels), an index from 0, or the text of the choice itself. */
function answerOf(given: unknown, choices: readonly string[], labels: readonly string[]): number | undefined {
  if (typeof given !== 'string' && typeof given !== 'number') return undefined;
  const text = String(given).trim();
  const byLabel = labels.findIndex((label) => label.toLowerCase() === text.toLowerCase());
  if (byLabel >= 0) return byLabel;
  if (typeof given === 'number') return given in choices ? given : undefined;
  const byText = choices.indexOf(text);
  if (byText >= 0) return byText;
  const letter = /^\(?([A-Za-z])[.):：、]?(\s|$)/.exec(text)?.[1].toUpperCase();
  const byLetter = letter === undefined ? -1 : letter.charCodeAt(0) - 65;
  if (byLetter >= 0 && byLetter < choices.length) return byLetter;
  return /^\d+$/.test(text) && Number(text) in choices ? Number(text) : undefined;
}
