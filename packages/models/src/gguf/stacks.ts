import { stackedRows } from '@frugal/checkpoint';
import type { NamedRows } from '../convert/model-tensors.js';
import { type LatentSizes, splitLatent } from './latent-rows.js';

const EXPERT = /^(blk\.\d+\.ffn_(?:gate|up|down))\.(\d+)\.weight$/;
const LATENT = /^(blk\.\d+\.attn_)kv_b\.weight$/;

/** The other direction of `modelTensors`: all experts of a kind as one tensor [E, F, C], latent keys and values apart. */
export function asGgufStacks(tensors: readonly NamedRows[], latent: LatentSizes | undefined): NamedRows[] {
  const stacks = new Map<string, NamedRows[]>();
  const result: (NamedRows | string)[] = [];
  for (const tensor of tensors) {
    const [, base, index] = EXPERT.exec(tensor.name) ?? [];
    if (base !== undefined) {
      const experts = stacks.get(base) ?? [];
      if (experts.length === 0) {
        stacks.set(base, experts);
        result.push(base);
      }
      experts[Number(index)] = tensor;
    } else result.push(...(latent ? splitTensor(tensor, latent) : [tensor]));
  }
  return result.map((item) =>
    typeof item === 'string' ? stack(item, stacks.get(item) as NamedRows[]) : item,
  );
}

function stack(base: string, experts: readonly NamedRows[]): NamedRows {
  const shape = [experts.length, ...experts[0].shape];
  return { name: `${base}_exps.weight`, shape, rows: stackedRows(experts.map(({ rows }) => rows)) };
}

function splitTensor(tensor: NamedRows, sizes: LatentSizes): NamedRows[] {
  const [, prefix] = LATENT.exec(tensor.name) ?? [];
  if (!prefix) return [tensor];
  const { heads, plainSize, valueSize, latentSize } = sizes;
  const { keys, values } = splitLatent(tensor.rows, sizes);
  return [
    { name: `${prefix}k_b.weight`, shape: [heads, latentSize, plainSize], rows: keys },
    { name: `${prefix}v_b.weight`, shape: [heads, valueSize, latentSize], rows: values },
  ];
}
