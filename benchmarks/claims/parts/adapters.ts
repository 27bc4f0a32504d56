import { changeOf } from '../claim.js';
import { type Adapters, measureAdapters } from '../measurements/adapters.js';
import { commandOf, type Part } from '../part.js';

const name = 'adapters';

export const adapters: Part<Adapters> = {
  name,
  needsModel: true,
  packages: ['tensor-core', 'backend-cpu', 'models', 'lora', 'trainer'],
  measure: measureAdapters,
  claims({ steps, tokensPerStep, before, lora, full, loss, tried }) {
    const rates = tried.filter(({ kind }) => kind === 'full').map(({ rate }) => rate);
    // A better rate for full tuning may lie beyond those that were tried.
    const isOpen = full.rate === Math.max(...rates);
    const share = (bits: number) => (100 * bits) / (before - full.bitsPerByte);
    const kept = 100 - share(loss.difference);
    const row = (measure: string, value: number, unit: string, note: string, holds: boolean) => ({
      claim: 'LoRA instead of full tuning',
      ...{ measure, value, unit, note, promised: 'cheaper, as good', command: commandOf(name) },
      verdict: holds ? ('holds' as const) : ('does not hold' as const),
    });
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
    return [
      {
        ...row(
          `SmolLM2-135M learns ICD-10-CM, ${steps} steps of ${tokensPerStep} tokens: LoRA's share of what full tuning gains`,
          kept,
          '%',
          `bits/byte ${before.toFixed(3)} before, ${lora.bitsPerByte.toFixed(3)} with LoRA (rank 16, rate ${lora.rate}), ${full.bitsPerByte.toFixed(3)} in full (rate ${full.rate}${isOpen ? ', the highest tried: a higher one may do better' : ''})`,
          kept >= 95,
        ),
        ...(isOpen && kept >= 95 && { verdict: 'holds in part' as const }),
        interval: [100 - share(loss.high), 100 - share(loss.low)] as const,
      },
      row(
        'the same: peak memory of the training',
        changeOf(lora.peakBytes, full.peakBytes),
        '%',
        `${gigabytes(lora.peakBytes)} over Q4_1 weights against ${gigabytes(full.peakBytes)}`,
        lora.peakBytes < full.peakBytes,
      ),
      row(
        'the same: processor time per step',
        changeOf(lora.processorSecondsPerStep, full.processorSecondsPerStep),
        '%',
        `${lora.processorSecondsPerStep.toFixed(2)} against ${full.processorSecondsPerStep.toFixed(2)} s; what is kept afterwards is ${(lora.artifactBytes / 1e6).toFixed(0)} instead of ${(full.artifactBytes / 1e6).toFixed(0)} MB`,
        lora.processorSecondsPerStep < full.processorSecondsPerStep,
      ),
    ];
  },
};
