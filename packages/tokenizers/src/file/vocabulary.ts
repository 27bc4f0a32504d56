import type { Merges, ModelType } from '../definition.js';
import { Vocabulary } from '../vocabulary.js';
import { describe } from './json.js';
import type { JsonReader } from './json-reader.js';

/** Ids may leave gaps, but a table of ids must not be mostly gaps: a corrupt id would ask for gigabytes. */
const MAX_GAP_FACTOR = 8;
const FREE_GAP = 2 ** 16;

export function checkId(reader: JsonReader, id: unknown, count: number, token: string): number {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0) {
    return reader.fail('an id is no integer from 0', {
      got: describe(id),
      expected: `an id for ${describe(token)}`,
    });
  }
  if (id > count * MAX_GAP_FACTOR + FREE_GAP) {
    return reader.fail('an id is far beyond the vocabulary', {
      got: `${id} for ${describe(token)}`,
      expected: `about ${count} ids`,
      hint: 'The file is probably corrupt.',
    });
  }
  return id;
}

/** Reads `model.vocab`: an object of ids (BPE, WordPiece, WordLevel) or a list of tokens with scores (Unigram). */
export function readVocabulary(
  model: JsonReader,
  type: ModelType,
): { vocabulary: Vocabulary; scores?: Float64Array } {
  const reader = model.at('vocab');
  return type === 'Unigram' ? readScoredVocabulary(reader) : { vocabulary: readIdVocabulary(reader) };
}

function readIdVocabulary(reader: JsonReader): Vocabulary {
  const entries = Object.entries(reader.object());
  // Ascending ids fill the table without moving it; files are mostly sorted already, keys like "7" are not.
  const sorted = entries.every(([, id], i) => i === 0 || (entries[i - 1][1] as number) <= (id as number));
  if (!sorted) entries.sort((a, b) => (a[1] as number) - (b[1] as number));
  const vocabulary = new Vocabulary();
  for (const [token, id] of entries) {
    if (!vocabulary.add(token, checkId(reader, id, entries.length, token))) {
      reader.fail('two tokens have the same id', {
        got: `${id} for ${describe(vocabulary.tokenOf(id as number))} and ${describe(token)}`,
      });
    }
  }
  return vocabulary;
}

function readScoredVocabulary(reader: JsonReader): { vocabulary: Vocabulary; scores: Float64Array } {
  const list = reader.list();
  const vocabulary = new Vocabulary();
  const scores = new Float64Array(list.length);
  list.forEach((item, id) => {
    const [token, score] = Array.isArray(item) ? item : [];
    if (typeof token !== 'string' || typeof score !== 'number') {
      reader.at(id).fail('an entry is damaged', { got: describe(item), expected: 'a token and its score' });
    }
    if (!vocabulary.add(token as string, id)) {
      reader.at(id).fail('a token appears twice', { got: describe(token) });
    }
    scores[id] = score as number;
  });
  return { vocabulary, scores };
}

/** Reads `model.merges`: pairs as `"left right"` or as `["left", "right"]`. */
export function readMerges(model: JsonReader, vocabulary: Vocabulary): Merges {
  const reader = model.at('merges');
  const list = reader.list();
  const merges = new Int32Array(2 * list.length);
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    const pair = typeof item === 'string' ? item.split(' ') : item;
    if (!Array.isArray(pair) || pair.length !== 2) {
      reader.at(i).fail('a merge is damaged', { got: describe(item), expected: 'two tokens' });
    }
    for (let side = 0; side < 2; side++) {
      const token = (pair as unknown[])[side];
      const id = typeof token === 'string' ? vocabulary.idOf(token) : undefined;
      if (id === undefined) {
        reader.at(i).fail('a merge uses a token that is not in the vocabulary', {
          got: describe(token),
          hint: 'Vocabulary and merges come from different files, or one of them was cut short.',
        });
      }
      merges[2 * i + side] = id as number;
    }
  }
  return merges;
}
