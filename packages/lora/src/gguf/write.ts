import { type GgufValue, saveGguf, type TensorInput, tensorInput } from '@frugal/checkpoint';
import type { GgufLayout } from '@frugal/tensor-core/nn';
import type { AdaptedLinear } from '../adapted-linear.js';
import type { AdapterSet } from '../adapter-set.js';
import { AdapterError } from '../errors.js';

/**
 * Writes adapters as a GGUF file that llama.cpp loads beside its model (`--lora`), in f32 and atomically. The file has one alpha for all
 * layers, so scales that differ go into B.
 * @throws AdapterError naming all layers that the format cannot hold: experts, magnitudes (DoRA), tied heads
 */
export async function saveGgufAdapter(
  { layers }: AdapterSet,
  file: string,
  layout: GgufLayout,
): Promise<void> {
  const problems: string[] = [];
  for (const [path, { magnitude }] of layers) {
    if (magnitude) problems.push(`${path} has magnitudes (DoRA), which llama.cpp does not know`);
    if (layout.tensorName(path) === undefined)
      problems.push(`${path} has no tensor of its own in GGUF files`);
  }
  if (problems.length > 0) throw new AdapterError('saveGgufAdapter', problems, 'Merge the adapter instead.');
  const [first] = layers.values();
  const alpha = first.scale * first.plainRank;
  const tensors: TensorInput[] = [];
  for (const [path, layer] of layers) tensors.push(...(await tensorsOf(path, layer, alpha, layout)));
  const fields: [string, GgufValue][] = [
    ['general.architecture', { type: 'string', value: layout.architecture }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'f32', value: alpha }],
  ];
  await saveGguf(file, tensors, new Map(fields));
}

async function tensorsOf(
  path: string,
  layer: AdaptedLinear,
  alpha: number,
  layout: GgufLayout,
): Promise<TensorInput[]> {
  const { down, up } = layer.plainParts();
  const [R, F] = [layer.plainRank, layer.outFeatures];
  const values = await up.toFloat32();
  // llama.cpp multiplies by alpha / R.
  const factor = (layer.scale * R) / alpha;
  const order = layout.rowOrder(path, F);
  const rows = new Float32Array(F * R);
  for (let row = 0; row < F; row++)
    for (let r = 0; r < R; r++) rows[row * R + r] = factor * values[(order?.[row] ?? row) * R + r];
  const name = layout.tensorName(path);
  const tensors = [
    tensorInput(`${name}.lora_a`, 'F32', down.shape, await down.toFloat32()),
    tensorInput(`${name}.lora_b`, 'F32', [F, R], rows),
  ];
  for (const each of [down, up]) each.dispose();
  return tensors;
}
