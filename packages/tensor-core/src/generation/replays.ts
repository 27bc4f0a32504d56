import { type OpProfile, observer, type RecordedOps, recordOps, type Tensor } from '../index.js';
import { type Module, ModuleState } from '../nn/index.js';

/** Recordings kept, the last used ones: shapes change with the number of sequences and the length of page tables. */
const MOST_RECORDINGS = 16;
/** A model that could not be recorded so many times in a row, because it chooses by values, is not tried again. */
const MOST_FAILURES = 3;
/** Shapes remembered, the first seen ones go first: one that comes back after so many others is rare. */
const MOST_SEEN = 1024;

/** Tensors, and what stays the same for all inputs of the same shapes. */
export interface Computed<Facts> {
  readonly outputs: readonly Tensor[];
  readonly facts: Facts;
}

interface Recorded<Facts> {
  readonly ops: RecordedOps;
  readonly facts: Facts;
}

/**
 * Passes over the modules of one model, as recorded ones where it can: a shape that comes the second time is taken down, from the
 * third time on it is replayed. Recordings are dropped when a weight was replaced or freed, a module, option or hook
 * changed, or the cache moved. While ops are observed (FRUGAL_DEBUG, `profile`), all passes run op by op.
 */
export class Replays<Facts> {
  private readonly seen = new Set<string>();
  private readonly passes = new Map<string, Recorded<Facts>>();
  private state: ModuleState | null = null;
  private failures = 0;

  constructor(private readonly model: Module) {}

  /**
   * What `compute` gives for these inputs; `kind` tells apart what their shapes do not. Inputs are whole and contiguous. Call it
   * inside noGrad() and a scope.
   */
  run(kind: string, inputs: readonly Tensor[], compute: () => Computed<Facts>): Computed<Facts> {
    if (observer.current || this.failures >= MOST_FAILURES) return compute();
    let key = kind;
    for (const { shape } of inputs) key += ` ${shape.join('x')}`;
    this.forgetChanged();
    const pass = this.passes.get(key);
    if (pass?.ops.isValid) {
      this.passes.delete(key);
      this.passes.set(key, pass); // the last used one
      return { outputs: pass.ops.run(inputs), facts: pass.facts };
    }
    if (pass) this.forget();
    if (this.seen.has(key)) return this.record(key, inputs, compute);
    this.seen.add(key);
    if (this.seen.size > MOST_SEEN) this.seen.delete(this.seen.values().next().value as string);
    return compute();
  }

  /** How many shapes are recorded. */
  get recordings(): number {
    return this.passes.size;
  }

  /** Time in each kernel of replayed passes since this was called with `true`. */
  measure(on: boolean): readonly OpProfile[] {
    return [...this.passes.values()].flatMap(({ ops }) => ops.measure(on));
  }

  dispose(): void {
    this.forget();
    this.seen.clear();
  }

  private record(key: string, inputs: readonly Tensor[], compute: () => Computed<Facts>): Computed<Facts> {
    let computed: Computed<Facts> | undefined;
    const { recorded } = recordOps(inputs, () => {
      computed = compute();
      return computed.outputs;
    });
    const { outputs, facts } = computed as Computed<Facts>;
    this.failures = recorded ? 0 : this.failures + 1;
    if (recorded) {
      this.state ??= new ModuleState(this.model);
      this.passes.set(key, { ops: recorded, facts });
      const [[oldest, pass]] = this.passes;
      if (this.passes.size > MOST_RECORDINGS) {
        this.passes.delete(oldest);
        pass.ops.dispose();
      }
    }
    return { outputs, facts };
  }

  private forgetChanged(): void {
    if (this.state && !this.state.isUnchanged) this.forget();
  }

  private forget(): void {
    for (const { ops } of this.passes.values()) ops.dispose();
    this.passes.clear();
    this.state = null;
  }
}
