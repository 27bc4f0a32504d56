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
  const ids = reader.object();
  // Keys and look-ups: on objects of this size several times faster than Object.entries.
  const tokens = Object.keys(ids);
  const checked = new Int32Array(tokens.length);
  let ascending = true;
  for (let i = 0; i < tokens.length; i++) {
    checked[i] = checkId(reader, ids[tokens[i]], tokens.length, tokens[i]);
    ascending &&= i === 0 || checked[i - 1] < checked[i];
  }
  const order = ascending ? undefined : Array.from(tokens.keys()).sort((a, b) => checked[a] - checked[b]);
  const vocabulary = new Vocabulary();
  for (let i = 0; i < tokens.length; i++) {
    const at = order ? order[i] : i;
    if (!vocabulary.add(tokens[at], checked[at])) {
      const other = vocabulary.tokenOf(checked[at]);
      reader.fail('two tokens have the same id', {
        got: `${checked[at]} for ${describe(other)} and ${describe(tokens[at])}`,
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
