import { CheckpointFormatError, show } from '../errors.js';
import type { TensorSource } from '../tensor-source.js';
import { ascend } from './ascend.js';
import { awq } from './awq.js';
import { bitsandbytes } from './bitsandbytes.js';
import { fineGrainedFp8 } from './compressed-floats.js';
import { compressedTensors } from './compressed-tensors.js';
import { frugal } from './frugal-layout.js';
import { gptq } from './gptq.js';
import type { FindQuantized, QuantizedLayout, Settings } from './quantized-matrix.js';

/** By `quant_method`. A new layout is its file and one entry here. */
const layouts: Readonly<Record<string, QuantizedLayout>> = {
  'compressed-tensors': compressedTensors,
  gptq,
  awq,
  bitsandbytes,
  fp8: fineGrainedFp8,
  frugal,
  ascend,
};

/**
 * The quantised matrices of a Hugging Face checkpoint, as its `quantization_config` describes them.
 * @throws CheckpointFormatError for methods and settings that are not read here, naming them
 */
export function openQuantized(
  config: { readonly [key: string]: unknown },
  source: TensorSource,
): FindQuantized {
  const settings = config.quantization_config as Settings | null | undefined;
  if (!settings) return () => null;
  const method = String(settings.quant_method);
  if (Object.hasOwn(layouts, method)) return layouts[method].open(settings, source);
  throw new CheckpointFormatError({
    file: 'config.json: quantization_config',
    what: 'this quantisation cannot be read: quant_method',
    got: show(settings.quant_method ?? null),
    expected: Object.keys(layouts).join(', '),
  });
}
