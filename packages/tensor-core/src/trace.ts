import type { TensorView } from './backend.js';
import type { OpObserver } from './debug.js';
import { bf16ToFloat, type DType, f16ToFloat, isFloating } from './dtype.js';
import { formatShape } from './shape.js';

/** Each level shows what the lower ones show, and more. */
export type TraceLevel =
  /** Nothing. */
  | 0
  /** Names, dtypes and shapes. */
  | 1
  /** Milliseconds of each kernel (of its launch, on devices that run behind). */
  | 2
  /** The first op whose output holds NaN or infinity, and where it was called. */
  | 3
  /** Smallest, mean and largest value of each output. */
  | 4;

export interface TraceOptions {
  readonly level: TraceLevel;
  /** Waits for the device after each op, so that an error of the device names the op that caused it. */
  readonly synchronize?: boolean;
  /** Where lines go; default: standard error. */
  readonly write?: (line: string) => void;
}

/**
 * An observer that tells of every op: put it into `observer.current`, or set FRUGAL_DEBUG=1..4 and FRUGAL_SYNC=1.
 * Values of host backends are looked at at once, those of devices as they arrive.
 */
export function traceOps({ level, synchronize = false, write = console.error }: TraceOptions): OpObserver {
  let number = 0;
  let culprit = false;
  return (op, inputs, outputs, _attributes, launch) => {
    const index = ++number;
    const start = performance.now();
    launch();
    const milliseconds = performance.now() - start;
    // Ops without outputs change their inputs.
    const results = outputs.length > 0 ? outputs : inputs;
    const time = level >= 2 ? ` ${milliseconds.toFixed(3)} ms` : '';
    if (level >= 1) write(`#${index} ${op} ${describe(inputs)} → ${describe(outputs)}${time}`);
    if (synchronize) reportErrors(op, index, results, write);
    if (level < 3) return;
    const where = culprit ? '' : callers();
    for (const [output, view] of results.entries()) {
      if (!isFloating(view.dtype)) continue;
      withValues(view, (values) => {
        const { smallest, largest, mean, notFinite } = summarize(values);
        if (notFinite > 0 && !culprit) {
          culprit = true;
          const what = `${notFinite} of ${values.length} numbers are NaN or infinite`;
          write(
            `#${index} ${op}: the first op with bad values: ${what} in output ${output} ${describe([view])}${where}`,
          );
        }
        if (level >= 4)
          write(`#${index} ${op} output ${output}: min ${smallest} mean ${mean} max ${largest}`);
      });
    }
  };
}

/** The observer that FRUGAL_DEBUG and FRUGAL_SYNC ask for; null without them, and in browsers. */
export function observerFromEnvironment(): OpObserver | null {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const level = Number(process?.env?.FRUGAL_DEBUG ?? 0);
  const synchronize = process?.env?.FRUGAL_SYNC === '1';
  if (![1, 2, 3, 4].includes(level) && !synchronize) return null;
  return traceOps({ level: ([1, 2, 3, 4].includes(level) ? level : 0) as TraceLevel, synchronize });
}

function describe(views: readonly TensorView[]): string {
  return views.map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`).join(', ') || '()';
}

/** The stack without this file and dispatch. */
function callers(): string {
  const lines = new Error().stack?.split('\n').slice(1) ?? [];
  const own = /[\\/](trace|dispatch|debug)\.[jt]s/;
  return `\n${lines
    .filter((line) => !own.test(line))
    .slice(0, 8)
    .join('\n')}`;
}

/** Every op is followed by its own wait: the first that fails is the op that did it. */
function reportErrors(
  op: string,
  index: number,
  [view]: readonly TensorView[],
  write: (line: string) => void,
): void {
  view?.storage.backend.synchronize().catch((error: unknown) => {
    write(`#${index} ${op} failed on the device: ${error instanceof Error ? error.message : String(error)}`);
  });
}

function withValues(view: TensorView, look: (values: ArrayLike<number>) => void): void {
  const { backend } = view.storage;
  if (backend.readSync && backend.capabilities.memory === 'host')
    look(numbersOf(backend.readSync(view), view.dtype));
  // The copy is enqueued now, behind the kernel; the tensor may be gone when the numbers arrive.
  else backend.read(view).then((bytes) => look(numbersOf(bytes, view.dtype)), ignore);
}

/** Errors of the device reach the program by its own reads. */
function ignore(): void {}

function numbersOf({ buffer, byteOffset, byteLength }: Uint8Array, dtype: DType): ArrayLike<number> {
  if (dtype === 'f32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  return Float32Array.from(bits, dtype === 'bf16' ? bf16ToFloat : f16ToFloat);
}

function summarize(values: ArrayLike<number>) {
  let [smallest, largest, sum, notFinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let i = 0; i < values.length; i++) {
    smallest = Math.min(smallest, values[i]);
    largest = Math.max(largest, values[i]);
    sum += values[i];
    if (!Number.isFinite(values[i])) notFinite++;
  }
  return { smallest, largest, mean: sum / values.length, notFinite };
}
