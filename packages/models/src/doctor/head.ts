import { compareBeginnings } from './compare-beginnings.js';
import type { Check, Finding } from './finding.js';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/** Whether the head is what the config says: stored, tied, or both and equal. */
export const head: Check = async ({ checkpoint, config }) => {
  const { entries } = checkpoint.tensors;
  if (checkpoint.kind === 'gguf' || !config || !entries.has(EMBEDDING)) return [];
  const stored = [...entries.keys()].some((name) => name.startsWith('lm_head.'));
  const tied = config.tie_word_embeddings === true;
  if (!tied && !stored) return [missingHead()];
  if (!tied || !entries.has(HEAD)) return [];
  const { sample, differing } = await compareBeginnings(checkpoint.tensors, EMBEDDING, HEAD);
  if (differing === 0) return [];
  return [
    {
      check: 'tied-head',
      level: 'error',
      what: 'config.json ties the head to the embedding, and the file has another head',
      evidence: `${differing} of the first ${sample} bytes of ${HEAD} differ from ${EMBEDDING}`,
      consequence:
        'transformers and Frugal ignore the stored head; tools that load it compute something else.',
      fix: 'Set tie_word_embeddings to false if the head was trained, else remove it from the file.',
    },
  ];
};

function missingHead(): Finding {
  return {
    check: 'missing-head',
    level: 'error',
    what: 'there is no head, and config.json does not tie it to the embedding',
    evidence: `no ${HEAD}; tie_word_embeddings is not true`,
    consequence:
      'transformers makes a random head and only warns: the text is noise. Default of tie_word_embeddings differs between model classes.',
    fix: 'Set tie_word_embeddings to true in config.json if the model was trained so.',
  };
}
