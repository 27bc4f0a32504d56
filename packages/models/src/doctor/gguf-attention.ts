import type { Check, Finding } from './finding.js';
import { GgufFields } from './gguf-fields.js';

const QUERY = /^blk\.(\d+)\.attn_q\.weight$/;

/**
 * Whether counts and sizes of heads fit the projections. Looks at names and shapes alone, so that it also says why a file
 * cannot be opened. Latent attention and projections that are fused have other names, and are left to the loader.
 */
export const ggufAttention: Check = (patient) => {
  const { checkpoint } = patient;
  if (checkpoint.kind !== 'gguf') return [];
  const fields = new GgufFields(patient);
  const { entries } = checkpoint.tensors;
  const wrong: string[] = [];
  for (const name of entries.keys()) {
    const layer = QUERY.exec(name)?.[1];
    if (layer !== undefined && entries.has(`blk.${layer}.attn_k.weight`))
      wrong.push(...layerProblems(fields, Number(layer), (tensor) => entries.get(tensor)?.shape));
  }
  if (wrong.length === 0) return [];
  const finding: Finding = {
    check: 'attention-shape',
    level: 'error',
    what: 'counts or sizes of heads in the metadata do not fit the tensors',
    evidence: `${wrong.slice(0, 4).join('; ')}${wrong.length > 4 ? `; and ${wrong.length - 4} more` : ''}`,
    consequence:
      'llama.cpp refuses the file, or cuts the projections into other heads than in training: text is noise.',
    fix: 'Convert again from the original; a config.json with another head_dim or number of heads is the usual cause.',
  };
  return [finding];
};

function layerProblems(
  fields: GgufFields,
  layer: number,
  shapeOf: (name: string) => readonly number[] | undefined,
): string[] {
  const heads = fields.ofLayer('attention.head_count', layer);
  const width = fields.ofLayer('embedding_length', layer);
  if (heads === undefined || width === undefined || heads <= 0) return [];
  const groups = fields.ofLayer('attention.head_count_kv', layer) ?? heads;
  const keySize = fields.ofLayer('attention.key_length', layer) ?? width / heads;
  const valueSize = fields.ofLayer('attention.value_length', layer) ?? width / heads;
  const wrong: string[] = [];
  if (!Number.isInteger(heads / groups))
    wrong.push(`${fields.nameOf('attention.head_count_kv')} ${groups} does not divide ${heads} heads`);
  const expected = {
    attn_q: [heads * keySize, width],
    attn_k: [groups * keySize, width],
    attn_v: [groups * valueSize, width],
    attn_output: [width, heads * valueSize],
  };
  for (const [name, [rows, columns]] of Object.entries(expected)) {
    const tensor = `blk.${layer}.${name}.weight`;
    const shape = shapeOf(tensor);
    if (shape && (shape[0] !== rows || shape[1] !== columns))
      wrong.push(`${tensor} is [${shape.join(', ')}], the metadata say [${rows}, ${columns}]`);
  }
  return wrong;
}
