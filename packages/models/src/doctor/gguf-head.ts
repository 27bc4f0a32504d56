import { compareBeginnings } from './compare-beginnings.js';
import type { Check, Finding } from './finding.js';

const EMBEDDING = 'token_embd.weight';
const HEAD = 'output.weight';

/**
 * What can be said of a head. A GGUF file without one means that it is tied to the embedding, and has no field that says
 * whether it was so in training: a head that the converter lost is found only by what was left of it.
 */
export const ggufHead: Check = async ({ checkpoint }) => {
  if (checkpoint.kind !== 'gguf') return [];
  const { tensors } = checkpoint;
  const [embedding, head] = [tensors.entries.get(EMBEDDING), tensors.entries.get(HEAD)];
  if (!embedding) return [];
  if (!head) return tensors.entries.has('output.bias') ? [lostHead()] : [tiedHead()];
  if (head.shape.join() !== embedding.shape.join()) {
    return [
      {
        check: 'head-shape',
        level: 'error',
        what: 'head and embedding have different shapes',
        evidence: `${HEAD} is [${head.shape.join(', ')}], ${EMBEDDING} is [${embedding.shape.join(', ')}]`,
        consequence: 'llama.cpp refuses the file: both must have a row for every token.',
        fix: 'Convert again from the original, after both were resized.',
      },
    ];
  }
  if (head.dtype !== embedding.dtype || head.byteLength !== embedding.byteLength) return [];
  const { sample, differing } = await compareBeginnings(tensors, EMBEDDING, HEAD);
  if (differing > 0) return [];
  return [
    {
      check: 'tied-head',
      level: 'warning',
      what: 'the head is the embedding, stored a second time',
      evidence: `the first ${sample} bytes of ${HEAD} and ${EMBEDDING} are equal`,
      consequence: `Nothing is wrong with texts; ${head.byteLength} bytes of file and memory are spent for nothing.`,
      fix: `Leave ${HEAD} out: every reader then takes ${EMBEDDING}.`,
    },
  ];
};

const lostHead = (): Finding => ({
  check: 'missing-head',
  level: 'error',
  what: 'there is a bias of a head, and no head',
  evidence: `output.bias, no ${HEAD}`,
  consequence: 'Readers take the embedding instead, to which this bias does not belong: text is noise.',
  fix: 'Convert again from the original.',
});

const tiedHead = (): Finding => ({
  check: 'tied-head',
  level: 'ok',
  what: `there is no ${HEAD}: the head is the embedding, which a GGUF file cannot say more clearly`,
  consequence: 'Whether the model was trained so is told by tie_word_embeddings of its original config.json.',
});
