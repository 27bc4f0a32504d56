import { type CausalLM, PackedLinear } from '@frugal/tensor-core/nn';

export const PRECISE_OPTION = [
  '--precise',
  'keep activations in f32 where the model would quantize them: slower, closest to other tools',
] as const;

/** Packed layers stay packed; their inputs are no longer rounded to int8. */
export function keepActivations(model: CausalLM): void {
  for (const [path, module] of [...model.namedModules()]) {
    if (!(module instanceof PackedLinear) || module.activation === null) continue;
    model.replace(path, new PackedLinear(module.weight, { bias: module.bias }));
  }
}
