import type { Check, Finding } from './finding.js';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const SAMPLE_BYTES = 2 ** 16;

/** Whether the head is what the config says: stored, tied, or both and equal. */
export const head: Check = async ({ checkpoint, config }) => {
  const { entries } = checkpoint.tensors;
  if (checkpoint.kind === 'gguf' || !config || !entries.has(EMBEDDING)) return [];
  const stored = [...entries.keys()].some((name) => name.startsWith('lm_head.'));
  const tied = config.tie_word_embeddings === true;
  if (!tied && !stored) return [missingHead()];
  if (!tied || !entries.has(HEAD)) return [];
  const [one, other] = [entries.get(EMBEDDING), entries.get(HEAD)];
  const sample = Math.min(SAMPLE_BYTES, one?.byteLength ?? 0, other?.byteLength ?? 0);
  const [a, b] = [
    await checkpoint.tensors.readRange(EMBEDDING, 0, sample),
    await checkpoint.tensors.readRange(HEAD, 0, sample),
  ];
  const differing = a.reduce((count, byte, i) => count + Number(byte !== b[i]), 0);
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
