import type { JsonObject } from '../file/json.js';
import { JsonReader } from '../file/json-reader.js';
import { charactersOfBytes } from './byte-alphabet.js';
import { WORD_CHARACTERS } from './characters.js';
import { compilePattern, WORD_PATTERNS } from './patterns.js';
import { readPattern } from './read-pattern.js';
import { createSplit, SPLIT_BEHAVIORS, type SplitBehavior, type Visit } from './split.js';
import { utf8Bytes } from './utf8.js';

/** Cuts a piece of text into words. `atStart` says whether the piece begins the whole text. */
export type Pretokenizer = (piece: string, visit: Visit, atStart: boolean) => void;

export interface PretokenizerSteps {
  readonly steps: readonly Pretokenizer[];
  /** The last step only writes bytes with the byte alphabet: it is left out, and the model reads bytes itself. */
  readonly endsInBytes: boolean;
}

type Step = Pretokenizer & { readonly toBytes?: true };

const WORDS_OR_SIGNS = new RegExp(`[${WORD_CHARACTERS}]+|[^${WORD_CHARACTERS}\\p{White_Space}]+`, 'gu');
const PUNCTUATION = String.raw`[!-/:-@\[-\x60{-~\p{P}]`;

/**
 * Builds the pre-tokenizer of tokenizer.json. With `elideBytes`, a byte-level step at the end is left to the model.
 * @throws TokenizerFileError for unknown steps and patterns
 */
export function createPretokenizer(
  config: JsonObject | null,
  file: string,
  elideBytes: boolean,
): PretokenizerSteps {
  const steps = config === null ? [] : createSteps(new JsonReader(file, 'pre_tokenizer', config));
  const endsInBytes = elideBytes && steps.at(-1)?.toBytes === true;
  return { steps: endsInBytes ? steps.slice(0, -1) : steps, endsInBytes };
}

/** Runs all steps; each sees every word that the one before it left. */
export function pretokenize(
  steps: readonly Pretokenizer[],
  text: string,
  atStart: boolean,
  visit: Visit,
  from = 0,
): void {
  if (from === steps.length) {
    visit(text);
    return;
  }
  let isFirst = atStart;
  const pass: Visit = (word) => {
    pretokenize(steps, word, isFirst, visit, from + 1);
    isFirst = false;
  };
  steps[from](text, from + 1 === steps.length ? visit : pass, atStart);
}

function createSteps(reader: JsonReader): Step[] {
  const type = reader.at('type').string();
  switch (type) {
    case 'Sequence':
      return reader.at('pretokenizers').items().flatMap(createSteps);
    case 'Split':
      return [
        createSplit(
          readPattern(reader.at('pattern')),
          readBehavior(reader),
          reader.at('invert').boolean(false),
        ),
      ];
    case 'ByteLevel':
      return byteLevelSteps(reader);
    case 'Metaspace':
      return [metaspace(reader)];
    case 'Digits':
      return [
        createSplit(/\p{N}/gu, reader.at('individual_digits').boolean(false) ? 'isolated' : 'contiguous'),
      ];
    case 'Punctuation':
      return [createSplit(compilePattern(PUNCTUATION), readBehavior(reader, 'isolated'))];
    case 'Whitespace':
      return [createSplit(WORDS_OR_SIGNS, 'removed', true)];
    case 'WhitespaceSplit':
      return [createSplit(/\p{White_Space}/gu, 'removed')];
    case 'CharDelimiterSplit':
      return [splitAtCharacter(reader.at('delimiter').string())];
    case 'FixedLength':
      return [fixedLength(Math.max(1, reader.at('length').index()))];
    case 'BertPreTokenizer':
      return [
        createSplit(/\p{White_Space}/gu, 'removed'),
        createSplit(compilePattern(PUNCTUATION), 'isolated'),
      ];
    default:
      return reader.fail('unknown pre-tokenizer', {
        got: type,
        expected:
          'Sequence, Split, ByteLevel, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, ' +
          'CharDelimiterSplit, FixedLength or BertPreTokenizer',
      });
  }
}

function readBehavior(reader: JsonReader, fallback?: SplitBehavior): SplitBehavior {
  const behavior = reader.at('behavior');
  if (!behavior.isPresent && fallback) return fallback;
  const name = behavior.string().toLowerCase();
  const known = SPLIT_BEHAVIORS.find((candidate) => candidate === name);
  return known ?? behavior.fail('unknown behavior', { got: name, expected: SPLIT_BEHAVIORS.join(', ') });
}

function byteLevelSteps(reader: JsonReader): Step[] {
  const steps: Step[] = [];
  if (reader.at('add_prefix_space').boolean(true))
    steps.push((text, visit) => visit(text.startsWith(' ') ? text : ` ${text}`));
  if (reader.at('use_regex').boolean(true))
    steps.push(createSplit(compilePattern(WORD_PATTERNS.gpt2), 'isolated'));
  const toBytes: Pretokenizer = (text, visit) => visit(charactersOfBytes(utf8Bytes(text)));
  return [...steps, Object.assign(toBytes, { toBytes: true as const })];
}

function metaspace(reader: JsonReader): Step {
  const mark = reader.at('replacement').optionalString() ?? '▁';
  // Files from before the prepend scheme say add_prefix_space.
  const scheme =
    reader.at('prepend_scheme').optionalString() ??
    (reader.at('add_prefix_space').boolean(true) ? 'always' : 'never');
  const cuts = reader.at('split').boolean(true);
  return (text, visit, atStart) => {
    const marked = text.replaceAll(' ', () => mark);
    const wanted = scheme === 'always' || (scheme === 'first' && atStart);
    const complete = wanted && !marked.startsWith(mark) ? mark + marked : marked;
    if (cuts) cutBefore(complete, mark, visit);
    else visit(complete);
  };
}

/** Every mark begins a word. */
function cutBefore(text: string, mark: string, visit: Visit): void {
  let start = 0;
  while (start < text.length) {
    const next = text.indexOf(mark, start + 1);
    const end = next < 0 ? text.length : next;
    visit(text.slice(start, end));
    start = end;
  }
}

const splitAtCharacter =
  (delimiter: string): Step =>
  (text, visit) => {
    for (const word of text.split(delimiter)) if (word !== '') visit(word);
  };

const fixedLength =
  (length: number): Step =>
  (text, visit) => {
    const characters = Array.from(text);
    for (let i = 0; i < characters.length; i += length) visit(characters.slice(i, i + length).join(''));
  };
