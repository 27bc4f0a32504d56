import { PLAIN_TEMPLATE } from '../chat/default-templates.js';
import type { AddedToken, TokenizerDefinition } from '../definition.js';
import { TokenizerError } from '../errors.js';
import { specialToken } from '../file/config.js';
import { PipelineTokenizer } from '../pipeline-tokenizer.js';
import { templateProcessing } from '../text/affixes.js';
import { BYTE_TO_CHARACTER } from '../text/byte-alphabet.js';
import type { PretokenizerName } from '../text/patterns.js';
import { byteLevelJson, pretokenizerJson } from '../text/pretokenizer-json.js';
import type { Tokenizer } from '../tokenizer.js';
import { Vocabulary } from '../vocabulary.js';
import { countWords } from './count-words.js';
import { learnMerges } from './learn-merges.js';

export type TrainingProgress =
  | { readonly phase: 'count'; readonly documents: number; readonly characters: number }
  | { readonly phase: 'merge'; readonly done: number; readonly total: number };

export interface TrainingOptions {
  /** Number of tokens in all: special tokens, 256 bytes, merges. A small corpus may yield fewer. */
  readonly vocabularySize: number;
  /** They get the first ids, in this order. Default `['<|endoftext|>']`. */
  readonly specialTokens?: readonly string[];
  /** How text is cut into words, which merges never cross. Default `llama3`. */
  readonly pretokenizer?: PretokenizerName;
  /** Pairs that occur less often are not merged. Default 2. */
  readonly minFrequency?: number;
  /** Roles of special tokens. Default: the first special token has all three. */
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly padToken?: string;
  /** Whether `encode` puts BOS before a text unless told otherwise. Default true. */
  readonly addBosToken?: boolean;
  /** In Jinja. Default: the messages' contents alone, as the model saw only plain documents. */
  readonly chatTemplate?: string;
  readonly onProgress?: (progress: TrainingProgress) => void;
}

const END_OF_TEXT = '<|endoftext|>';
const BYTES = 256;

/**
 * Trains a byte-level BPE tokenizer (GPT-2's kind), in one pass over the texts. Deterministic: of equally frequent pairs
 * the one with the smallest ids is merged, as in Hugging Face's trainer.
 * @throws TokenizerError for options that contradict each other
 */
export function trainByteLevelBpe(texts: Iterable<string>, options: TrainingOptions): Tokenizer {
  const { vocabularySize, pretokenizer = 'llama3', minFrequency = 2, onProgress } = options;
  const special = readSpecialTokens(options);
  const tokens = [...special.map(({ content }) => content), ...[...BYTE_TO_CHARACTER].sort()];
  const byteIds = Int32Array.from(BYTE_TO_CHARACTER, (character) =>
    tokens.indexOf(character, special.length),
  );

  const { words } = countWords(texts, pretokenizer, (documents, characters) =>
    onProgress?.({ phase: 'count', documents, characters }),
  );
  const first = tokens.length;
  const merges = learnMerges(words, {
    byteIds,
    tokens,
    vocabularySize,
    minFrequency,
    onMerge: (size) => onProgress?.({ phase: 'merge', done: size - first, total: vocabularySize - first }),
  });
  return new PipelineTokenizer(makeDefinition(tokens, merges, special, options));
}

function readSpecialTokens(options: TrainingOptions): AddedToken[] {
  const { specialTokens = [END_OF_TEXT], vocabularySize, bosToken, eosToken, padToken } = options;
  const wrong = (what: string, got: string, expected: string): never => {
    throw new TokenizerError({ where: 'trainByteLevelBpe', what, got, expected });
  };
  if (new Set(specialTokens).size !== specialTokens.length || specialTokens.includes('')) {
    wrong('specialTokens are wrong', JSON.stringify(specialTokens), 'different names, none empty');
  }
  const clash = specialTokens.find((token) => BYTE_TO_CHARACTER.includes(token));
  if (clash !== undefined)
    wrong('a special token is the name of a byte', JSON.stringify(clash), 'more than one character');
  for (const role of [bosToken, eosToken, padToken]) {
    if (role !== undefined && !specialTokens.includes(role)) {
      wrong(
        'a role is given to no special token',
        JSON.stringify(role),
        `one of ${JSON.stringify(specialTokens)}`,
      );
    }
  }
  const least = specialTokens.length + BYTES;
  if (!Number.isInteger(vocabularySize) || vocabularySize < least) {
    wrong(
      'vocabularySize is wrong',
      String(vocabularySize),
      `an integer from ${least}, which bytes and special tokens take`,
    );
  }
  return specialTokens.map((content, id) => specialToken(id, content));
}

/** The first special token has every role that is given to none. */
function rolesOf(special: readonly AddedToken[], options: TrainingOptions): Record<string, string> {
  if (special.length === 0) return {};
  const first = special[0].content;
  return {
    bos_token: options.bosToken ?? first,
    eos_token: options.eosToken ?? first,
    pad_token: options.padToken ?? first,
  };
}

function makeDefinition(
  tokens: readonly string[],
  merges: Int32Array,
  special: readonly AddedToken[],
  options: TrainingOptions,
): TokenizerDefinition {
  const vocabulary = new Vocabulary();
  tokens.forEach((token, id) => void vocabulary.add(token, id));
  const roles = rolesOf(special, options);
  const withContent = (content: string | undefined) => special.filter((token) => token.content === content);
  const [bos] = withContent(roles.bos_token);
  return {
    file: 'tokenizer.json',
    modelType: 'BPE',
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
    },
    vocabulary,
    merges,
    normalizer: null,
    preTokenizer: pretokenizerJson(options.pretokenizer ?? 'llama3'),
    postProcessor: (options.addBosToken ?? true) && bos ? templateProcessing([bos], []) : byteLevelJson(true),
    decoder: byteLevelJson(true),
    addedTokens: special,
    config: {
      add_prefix_space: false,
      clean_up_tokenization_spaces: false,
      tokenizer_class: 'PreTrainedTokenizerFast',
    },
    namedTokens: roles,
    chatTemplates: { default: options.chatTemplate ?? PLAIN_TEMPLATE },
    bosId: bos?.id,
    eosIds: withContent(roles.eos_token).map(({ id }) => id),
    padId: withContent(roles.pad_token)[0]?.id,
    unknownId: undefined,
  };
}
