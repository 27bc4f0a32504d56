import type { OpProfile, Tensor } from '../index.js';
import { batchInputs, type CausalLM, type StepBatch } from '../nn/index.js';
import { type Computed, Replays } from './replays.js';

/** Steps of more rows take so long that JavaScript between their ops does not matter. */
export const MOST_RECORDED_ROWS = 64;

/** What a step computes; logits f32 [M, V] are null when no row wants them. */
export interface StepOutput {
  readonly logits: Tensor | null;
  readonly collected: ReadonlyMap<string, Tensor>;
}

interface Facts {
  readonly names: readonly string[];
  readonly hasLogits: boolean;
}

/** Forward passes of one model, recorded where it can: see `Replays`. */
export class StepRecorder {
  private readonly replays: Replays<Facts>;

  constructor(private readonly model: CausalLM) {
    this.replays = new Replays(model);
  }

  /** Call it inside noGrad() and a scope. */
  run(batch: StepBatch): StepOutput {
    if (batch.tokens.shape[0] > MOST_RECORDED_ROWS) return outputOf(this.compute(batch));
    const kind = batch.collect ? [...batch.collect].join() : '';
    return outputOf(this.replays.run(kind, batchInputs(batch), () => this.compute(batch)));
  }

  /** How many shapes are recorded. */
  get recordings(): number {
    return this.replays.recordings;
  }

  /** Time in each kernel of replayed steps since this was called with `true`. */
  measure(on: boolean): readonly OpProfile[] {
    return this.replays.measure(on);
  }

  dispose(): void {
    this.replays.dispose();
  }

  private compute(batch: StepBatch): Computed<Facts> {
    const { collected, logits } = this.model.forward(batch);
    const hasLogits = batch.logitRows.shape[0] > 0;
    return {
      outputs: [...(hasLogits ? [logits().cast('f32')] : []), ...collected.values()],
      facts: { names: [...collected.keys()], hasLogits },
    };
  }
}

function outputOf({ outputs, facts: { names, hasLogits } }: Computed<Facts>): StepOutput {
  const [logits, values] = hasLogits ? [outputs[0], outputs.slice(1)] : [null, outputs];
  return { logits, collected: new Map(names.map((name, i) => [name, values[i]])) };
}
