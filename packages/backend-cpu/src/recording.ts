import type { Recording, Storage, TensorView } from '@frugal/tensor-core';
import { Arena } from './arena.js';
import type { Runtime } from './backend.js';
import { type Block, type CpuStorage, PooledStorage } from './memory.js';
import { ALIGNMENT } from './slabs.js';

/** Watches the calls that a recording takes down. */
export class CallWatch {
  readonly storages = new Set<CpuStorage>();
  /** Whether something ran that replaying would leave out. */
  isBroken = false;

  see(views: readonly TensorView[]): void {
    for (const { storage } of views) this.storages.add(storage as CpuStorage);
  }
}

/** Calls of the addon, taken down while they run. */
export class CpuRecording implements Recording {
  private constructor(
    private readonly runtime: Runtime,
    private readonly program: object,
    private readonly arena: Arena,
    /** Memory that is not the recording's own: weights, caches. */
    private readonly needed: readonly CpuStorage[],
    /** Where the pieces of memory for intermediate results begin in the block that the pool lends for each run. */
    private readonly scratch: readonly number[],
    private readonly scratchBytes: number,
  ) {
    for (const storage of needed) {
      storage.recordings ??= new Set();
      storage.recordings.add(this);
    }
  }

  /** Until something that it needs is freed, or it is disposed. */
  isValid = true;
  private measured = false;

  /** See `Backend.record`; null as well inside another recording. */
  static make(
    runtime: Runtime,
    inputs: readonly TensorView[],
    run: () => readonly TensorView[],
  ): CpuRecording | null {
    const { addon, command, pool } = runtime;
    if (pool.arena) {
      if (command.watch) command.watch.isBroken = true;
      run();
      return null;
    }
    const arena = new Arena(pool);
    const watch = new CallWatch();
    const given = new Set(inputs.map(({ storage }) => storage as CpuStorage));
    let results: readonly TensorView[] | null = null;
    pool.arena = arena;
    command.watch = watch;
    addon.startRecording();
    try {
      results = run();
    } finally {
      pool.arena = null;
      command.watch = null;
      if (!results) {
        addon.finishRecording();
        arena.close();
      }
    }
    const outputs = [...new Set(results.map(({ storage }) => storage as CpuStorage))];
    const { scratch } = arena;
    command.putSlots([...given, ...outputs, ...scratch]);
    const program = addon.finishRecording();
    // What else was freed on the way was an intermediate result or a constant.
    const lost = [...watch.storages].some(
      (storage) =>
        storage.references <= 0 && !(storage instanceof PooledStorage && storage.block.arena === arena),
    );
    const ownOutputs = outputs.map(
      (storage) => !given.has(storage) && storage instanceof PooledStorage && arena.release(storage.block),
    );
    if (watch.isBroken || lost || ownOutputs.includes(false) || given.size < inputs.length) {
      arena.close();
      return null;
    }
    const needed = [...watch.storages].filter(
      (storage) => storage.references > 0 && !given.has(storage) && !outputs.includes(storage),
    );
    arena.settle();
    return new CpuRecording(runtime, program, arena, needed, ...layOut(scratch));
  }

  /** Something that it needs was freed. Told, not asked for: a look at every weight in each step would cost more than small kernels. */
  invalidate(): void {
    this.isValid = false;
    for (const storage of this.needed) storage.recordings?.delete(this);
  }

  replay(inputs: readonly Storage[], outputs: readonly Storage[]): void {
    const { addon, command, pool } = this.runtime;
    if (command.watch) command.watch.isBroken = true; // what is replayed is not taken down
    const block = pool.takeOwn(this.scratchBytes);
    command.putAddresses(
      this.measured,
      inputs as readonly CpuStorage[],
      outputs as readonly CpuStorage[],
      block.address,
      this.scratch,
    );
    addon.replay(this.program);
    pool.give(block);
  }

  measure(on: boolean): ReturnType<Recording['measure']> {
    this.measured = on;
    const { addon } = this.runtime;
    return addon
      .takeTimes(this.program)
      .map(([kernel, calls, nanoseconds]) => ({
        op: addon.kernels[kernel],
        calls,
        seconds: nanoseconds / 1e9,
      }))
      .filter(({ calls }) => calls > 0);
  }

  dispose(): void {
    this.invalidate();
    this.arena.close();
  }
}

/**
 * The pieces one behind the other, and the bytes of the whole: a power of two, so that recordings of like sizes borrow
 * the same block.
 */
function layOut(pieces: readonly Block[]): readonly [offsets: readonly number[], bytes: number] {
  const offsets: number[] = [];
  let end = 0;
  for (const { capacity } of pieces) {
    offsets.push(end);
    end += capacity;
  }
  return [offsets, 2 ** Math.ceil(Math.log2(Math.max(end, ALIGNMENT)))];
}
