import {
  openCheckpoint,
  openQuantized,
  storeQuantized,
  tensorInput,
  writeCheckpoint,
} from '@frugal/checkpoint';
import { PackedTensor } from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import { PackedLinear } from '@frugal/tensor-core/nn';

/** The packed layers of a network, by path. */
function packedLayers(network) {
  return [...network.namedModules()].filter(([, module]) => module instanceof PackedLinear);
}

/** Writes all that the network holds: packed layers in a layout that vLLM and transformers read too. */
export async function save(network, folder, manifest) {
  const matrices = packedLayers(network).map(([path, { weight }]) => ({
    modules: [path],
    isEmbedding: false,
    format: weight.format,
    shape: weight.shape,
    activation: 'none',
    parts: packedFormat(weight.format)
      .parts(...weight.shape)
      .map((part, i) => ({ ...part, bytes: () => weight.parts[i].bytes() })),
  }));
  const dense = [];
  for (const [path, { value }] of network.namedParameters())
    dense.push(tensorInput(path, 'F32', value.shape, await value.toFloat32()));
  const { settings, tensors } = storeQuantized(matrices, ['head']);
  const config = { ...network.config, quantization_config: settings };
  await writeCheckpoint(folder, { config, tensors: [...dense, ...tensors], manifest });
}

/** Puts what a folder holds in the place of the packed layers. */
export async function load(network, folder) {
  const checkpoint = await openCheckpoint(folder);
  const find = openQuantized(checkpoint.config, checkpoint.tensors);
  for (const [path, { weight }] of packedLayers(network)) {
    const stored = find(path, weight.shape);
    const packed = PackedTensor.fromParts(stored.format, stored.shape, await stored.read());
    network.replace(path, new PackedLinear(packed)).dispose();
  }
  await checkpoint.close();
}
