import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufMetadataReader } from './metadata-reader.js';

/** The rotary settings of config.json, in the older layout. `factors` is the tensor rope_freqs where the file has one. */
export function readGgufRope(
  reader: GgufMetadataReader,
  contextLength: number,
  hasFactors: boolean,
): ModelConfig {
  const theta = { rope_theta: reader.number('rope.freq_base', 10000) };
  const type = reader.string('rope.scaling.type', ['none', 'linear', 'yarn'], 'none');
  reader.ignore('rope.scaling.finetuned');
  if (hasFactors) reader.only('rope.scaling.type', 'none');
  if (type === 'none') {
    reader.only('rope.scaling.factor', 1);
    reader.ignore('rope.scaling.original_context_length');
    return theta;
  }
  const factor = reader.number('rope.scaling.factor');
  if (type === 'linear') {
    reader.ignore('rope.scaling.original_context_length');
    return { ...theta, rope_scaling: { rope_type: 'linear', factor } };
  }
  return {
    ...theta,
    rope_scaling: {
      rope_type: 'yarn',
      factor,
      original_max_position_embeddings: reader.integer(
        'rope.scaling.original_context_length',
        Math.round(contextLength / factor),
      ),
      beta_fast: reader.number('rope.scaling.yarn_beta_fast', 32),
      beta_slow: reader.number('rope.scaling.yarn_beta_slow', 1),
    },
  };
}
