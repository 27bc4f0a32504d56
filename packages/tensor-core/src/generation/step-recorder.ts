import { type OpProfile, observer, type RecordedOps, recordOps, type Tensor } from '../index.js';
import { batchInputs, type CausalLM, ModuleState, type StepBatch } from '../nn/index.js';

/** Steps of more rows take so long that JavaScript between their ops does not matter. */
const MOST_ROWS = 64;
/** Recordings kept, the last used ones: shapes change with the number of sequences and the length of page tables. */
const MOST_RECORDINGS = 16;
/** A model that could not be recorded so many times in a row, because it chooses by values, is not tried again. */
const MOST_FAILURES = 3;
/** Shapes remembered, the first seen ones go first: one that comes back after so many others is rare. */
const MOST_SEEN = 1024;

/** What a step computes; logits f32 [M, V] are null when no row wants them. */
export interface StepOutput {
  readonly logits: Tensor | null;
  readonly collected: ReadonlyMap<string, Tensor>;
}

interface RecordedStep {
  readonly ops: RecordedOps;
  readonly names: readonly string[];
  readonly hasLogits: boolean;
}

/**
 * Forward passes of one model, as recorded ones where it can: a shape that comes the second time is taken down, from the
 * third time on it is replayed. Recordings are dropped when a weight was replaced or freed, a module, option or hook
 * changed, or the cache moved. While ops are observed (FRUGAL_DEBUG, `profile`), all steps run op by op.
 */
export class StepRecorder {
  private readonly seen = new Set<string>();
  private readonly steps = new Map<string, RecordedStep>();
  private state: ModuleState | null = null;
  private failures = 0;

  constructor(private readonly model: CausalLM) {}

  /** Call it inside noGrad() and a scope. */
  run(batch: StepBatch): StepOutput {
    if (batch.tokens.shape[0] > MOST_ROWS || observer.current || this.failures >= MOST_FAILURES)
      return this.compute(batch);
    const inputs = batchInputs(batch);
    const key = shapesOf(inputs, batch.collect);
    this.forgetChanged();
    const step = this.steps.get(key);
    if (step?.ops.isValid) {
      this.steps.delete(key);
      this.steps.set(key, step); // the last used one
      return outputOf(step, step.ops.run(inputs));
    }
    if (step) this.forget();
    if (this.seen.has(key)) return this.record(key, batch, inputs);
    this.seen.add(key);
    if (this.seen.size > MOST_SEEN) this.seen.delete(this.seen.values().next().value as string);
    return this.compute(batch);
  }

  /** How many shapes are recorded. */
  get recordings(): number {
    return this.steps.size;
  }

  /** Time in each kernel of replayed steps since this was called with `true`. */
  measure(on: boolean): readonly OpProfile[] {
    return [...this.steps.values()].flatMap(({ ops }) => ops.measure(on));
  }

  dispose(): void {
    this.forget();
    this.seen.clear();
  }

  private compute(batch: StepBatch): StepOutput {
    const { collected, logits } = this.model.forward(batch);
    return { logits: batch.logitRows.shape[0] > 0 ? logits().cast('f32') : null, collected };
  }

  private record(key: string, batch: StepBatch, inputs: readonly Tensor[]): StepOutput {
    let output: StepOutput | undefined;
    const { recorded } = recordOps(inputs, () => {
      output = this.compute(batch);
      return [...(output.logits ? [output.logits] : []), ...output.collected.values()];
    });
    const { logits, collected } = output as StepOutput;
    this.failures = recorded ? 0 : this.failures + 1;
    if (recorded) {
      this.state ??= new ModuleState(this.model);
      this.steps.set(key, { ops: recorded, names: [...collected.keys()], hasLogits: logits !== null });
      const [[oldest, step]] = this.steps;
      if (this.steps.size > MOST_RECORDINGS) {
        this.steps.delete(oldest);
        step.ops.dispose();
      }
    }
    return { logits, collected };
  }

  private forgetChanged(): void {
    if (this.state && !this.state.isUnchanged) this.forget();
  }

  private forget(): void {
    for (const { ops } of this.steps.values()) ops.dispose();
    this.steps.clear();
    this.state = null;
  }
}

function outputOf({ names, hasLogits }: RecordedStep, outputs: readonly Tensor[]): StepOutput {
  const [logits, values] = hasLogits ? [outputs[0], outputs.slice(1)] : [null, outputs];
  return { logits, collected: new Map(names.map((name, i) => [name, values[i]])) };
}

function shapesOf(inputs: readonly Tensor[], collect: ReadonlySet<string> | undefined): string {
  let key = collect ? [...collect].join() : '';
  for (const { shape } of inputs) key += ` ${shape.join('x')}`;
  return key;
}
