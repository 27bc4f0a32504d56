import { describe, expect, it } from 'vitest';
import { createTokenizer } from '../src/index.js';
import { fixture } from './support.js';

interface Case {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object | null;
  /** Of each text. */
  readonly words: readonly (readonly string[])[];
}

/** Made by oracles/tokenizers/make_tokenizers.py. */
const { texts, ...cases } = fixture<{ readonly texts: readonly string[] } & Record<string, Case>>(
  'pipelines.json',
);

describe('normalizers and pre-tokenizers', () => {
  it.each(Object.entries<Case>(cases))(
    'cut texts as the tokenizers library does: %s',
    (_, { words, ...steps }) => {
      const known = ['<unk>', ...new Set(words.flat())];
      const tokenizer = createTokenizer({
        tokenizerJson: JSON.stringify({
          ...{ version: '1.0', added_tokens: [], post_processor: null, decoder: null },
          ...steps,
          model: {
            type: 'WordLevel',
            unk_token: '<unk>',
            vocab: Object.fromEntries(known.map((word, id) => [word, id])),
          },
        }),
      });
      for (const [i, text] of texts.entries())
        expect(
          Array.from(tokenizer.encode(text), (id) => known[id]),
          JSON.stringify(text),
        ).toEqual(words[i].filter(Boolean));
    },
  );
});
