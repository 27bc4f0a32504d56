import { compareOutputs, type Divergence, type PairedDifference, pairedBootstrap } from '@frugal/eval';
import { bitsPerByte, heldOutBytes, paired, speeches } from '../corpus.js';
import { modelOf, type Setting } from '../part.js';
import { type Preset, RealModel } from '../real-model.js';
import { modelFolder } from '../setting.js';

interface Packed {
  readonly preset: Preset;
  readonly bitsPerByte: number;
  readonly loss: PairedDifference;
  readonly divergence: Divergence;
}

export interface EightBit {
  readonly dense: number;
  readonly documents: number;
  readonly packed: readonly Packed[];
}

/** W8A8 beside the same weights in bf16: SmolLM2 on held-out speeches, document by document. */
export async function measureEightBit(setting: Setting): Promise<EightBit> {
  const model = await RealModel.open(modelOf(setting), modelFolder(setting));
  const bytes = heldOutBytes(setting);
  const { heldOut } = await speeches(bytes);
  const reference = await model.scores('bf16', bytes);
  const dense = await model.load('bf16');
  const packed: Packed[] = [];
  for (const preset of ['q8_0', 'w8a8', 'int8'] as const) {
    const scores = await model.scores(preset, bytes);
    const small = await model.load(preset);
    packed.push({
      preset,
      bitsPerByte: bitsPerByte(scores),
      loss: pairedBootstrap(paired(scores, reference)),
      divergence: await compareOutputs(dense, small, model.tokenizer, heldOut.slice(0, 2)),
    });
    small.dispose();
  }
  return { dense: bitsPerByte(reference), documents: heldOut.length, packed };
}
