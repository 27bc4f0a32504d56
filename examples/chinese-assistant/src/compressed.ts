import { compress, parseRecipe } from '@frugal/compress';
import { type ChoiceResult, comparePaired, type Judged, type PairedAccuracy } from '@frugal/eval';
import { roundToNearest } from '@frugal/quant';
import { type CausalLM, modelBytes } from '@frugal/tensor-core/nn';

const forms = {
  int8: { format: 'int8-channel', activation: 'int8' },
  int4: { format: 'int4-g32' },
} as const;

export interface Compressed {
  readonly name: string;
  readonly bytes: number;
  /** Against the dense model on the same questions. */
  readonly accuracy: PairedAccuracy;
}

/** A model's answers to the exam. */
type Examine = (model: CausalLM) => Promise<readonly ChoiceResult[]>;

/** The model in 8 and in 4 bits, each beside the dense one; `copy` gives a new one to compress. */
export async function examineCompressed(
  dense: CausalLM,
  copy: () => Promise<CausalLM>,
  examine: Examine,
): Promise<Compressed[]> {
  const reference = judged(await examine(dense));
  const all: Compressed[] = [];
  for (const [name, options] of Object.entries(forms)) {
    const modifiers = [{ type: 'quant.rtn', targets: { include: ['**'] }, ...options }];
    const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name, modifiers }] });
    const { model } = await compress(await copy(), recipe, { methods: [roundToNearest] });
    const accuracy = comparePaired(reference, judged(await examine(model)));
    all.push({ name, bytes: modelBytes(model), accuracy });
    model.dispose();
  }
  return all;
}

/** The choice that is most likely per byte counts: explanations differ in length. */
export function judged(results: readonly ChoiceResult[]): Judged[] {
  return results.map(({ id, chosenPerByte, answer }) => ({ id, correct: chosenPerByte === answer }));
}
