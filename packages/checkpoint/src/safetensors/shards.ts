import { inputByteLength, type TensorInput } from '../tensor-input.js';

export interface PlannedShards {
  readonly shards: readonly { readonly name: string; readonly tensors: readonly TensorInput[] }[];
  /** model.safetensors.index.json; null for a single file. */
  readonly index: object | null;
}

/** Spreads tensors over files of at most `maxShardBytes`, in their order, named as Hugging Face names them. */
export function planShards(tensors: readonly TensorInput[], maxShardBytes: number): PlannedShards {
  const groups: TensorInput[][] = [[]];
  let [bytes, total] = [0, 0];
  for (const tensor of tensors) {
    const length = inputByteLength(tensor);
    if (bytes > 0 && bytes + length > maxShardBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups[groups.length - 1].push(tensor);
    bytes += length;
    total += length;
  }
  if (groups.length === 1)
    return { shards: [{ name: 'model.safetensors', tensors: groups[0] }], index: null };
  const number = (value: number) => String(value).padStart(5, '0');
  const shards = groups.map((group, i) => ({
    name: `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
    tensors: group,
  }));
  const places = shards.flatMap(({ name, tensors: group }) =>
    group.map((tensor) => [tensor.name, name] as const),
  );
  const weightMap = Object.fromEntries(places.sort(([a], [b]) => (a < b ? -1 : 1)));
  return { shards, index: { metadata: { total_size: total }, weight_map: weightMap } };
}
