import { describe, expect, it } from 'vitest';
import { ones, tensor, zeros } from './creation.js';
import { ArgumentError, LifetimeError } from './errors.js';
import { expectNoLeaks, memoryUsage, resetPeakMemory } from './memory.js';
import { keep, scope } from './scope.js';
import type { Tensor } from './tensor.js';

/** Storages that `fn` leaves behind. */
function left(fn: () => unknown): number {
  const before = memoryUsage().storages;
  fn();
  return memoryUsage().storages - before;
}

describe('scope', () => {
  it('frees what was made inside', () => {
    expect(left(() => scope(() => void ones([3]).add(1).mul(2)))).toBe(0);
  });

  it('lets results escape, also inside arrays, maps, sets and plain objects', () => {
    const make = () =>
      scope(() => ({ a: ones([1]), b: [ones([1])], c: new Map([[1, ones([1])]]), d: new Set([ones([1])]) }));
    expect(left(() => make())).toBe(4);
    const { a, b, c, d } = make();
    for (const one of [a, b[0], c.get(1) as Tensor, ...d]) expect(one.disposed).toBe(false);
  });

  it('does not look into instances of classes', () => {
    class Holder {
      constructor(readonly tensor: Tensor) {}
    }
    const holder = scope(() => new Holder(ones([1])));
    expect(holder.tensor.disposed).toBe(true);
  });

  it('ends cycles in results', () => {
    const cyclic: { self?: unknown; tensor?: Tensor } = {};
    scope(() => {
      cyclic.self = cyclic;
      cyclic.tensor = ones([1]);
      return cyclic;
    });
    expect(cyclic.tensor!.disposed).toBe(false);
  });

  it('hands results to the scope around it', () => {
    expect(left(() => scope(() => void scope(() => ones([3])).add(1)))).toBe(0);
  });

  it('leaves tensors of outer scopes alone', async () => {
    const outer = scope(() => {
      const made = ones([2]);
      scope(() => void made.add(1));
      return made;
    });
    expect(await outer.toFloat32()).toEqual(Float32Array.of(1, 1));
  });

  it('does not take over tensors that others return through it', () => {
    scope(() => {
      const outer = ones([2]);
      scope(() => void scope(() => outer));
      expect(outer.disposed).toBe(false);
    });
    const free = ones([2]);
    scope(() => void scope(() => free));
    expect(free.disposed).toBe(false);
  });

  it('keeps a storage while a view of it lives', async () => {
    const view = scope(() =>
      tensor([
        [1, 2],
        [3, 4],
      ]).transpose(),
    );
    expect(await view.toFloat32()).toEqual(Float32Array.of(1, 3, 2, 4));
    expect(left(() => view.dispose())).toBe(-1);
  });

  it('keep() takes a tensor out of all scopes', () => {
    let kept!: Tensor;
    expect(
      left(() =>
        scope(() =>
          scope(() => {
            kept = keep(ones([1]));
          }),
        ),
      ),
    ).toBe(1);
    expect(kept.disposed).toBe(false);
    kept.dispose();
  });

  it('frees everything when the function throws', () => {
    const fail = () =>
      scope(() => {
        ones([3]).add(1);
        scope(() => {
          ones([4]);
          throw new Error('stop');
        });
      });
    expect(left(() => expect(fail).toThrow('stop'))).toBe(0);
    // The stack of scopes is intact: what is made now belongs to no scope.
    expect(left(() => ones([1]))).toBe(1);
  });

  it('refuses asynchronous functions', () => {
    expect(() => scope(async () => ones([1]))).toThrow(ArgumentError);
    expect(() => scope(async () => ones([1]))).toThrow('await them outside the scope');
  });
});

describe('dispose', () => {
  it('frees once, when the last handle is gone', () => {
    const a = ones([2]);
    const b = a.detach();
    expect(left(() => a.dispose())).toBe(0);
    a.dispose();
    expect(left(() => b.dispose())).toBe(-1);
  });

  it('makes later use an error that names the op', () => {
    const a = ones([2]);
    a.dispose();
    expect(() => a.add(1)).toThrow(LifetimeError);
    expect(() => a.add(1)).toThrow('[add] an input [2] was already disposed. Return it from the scope()');
  });

  it('is what the end of a using block does', () => {
    const a = ones([2]);
    expect(left(() => a[Symbol.dispose]())).toBe(-1);
    expect(a.disposed).toBe(true);
  });
});

describe('memory', () => {
  it('counts bytes and their peak', () => {
    const before = memoryUsage();
    resetPeakMemory();
    scope(() => {
      zeros([256]);
      scope(() => void zeros([1024], { dtype: 'bf16' }));
      expect(memoryUsage().bytes).toBe(before.bytes + 1024);
    });
    expect(memoryUsage().bytes).toBe(before.bytes);
    expect(memoryUsage().peakBytes).toBe(before.bytes + 1024 + 2048);
  });

  it('expectNoLeaks finds what is left behind, and passes results through', async () => {
    expect(await expectNoLeaks(() => scope(() => ones([2]).shape[0]))).toBe(2);
    await expect(expectNoLeaks(() => ones([2]))).rejects.toThrow(LifetimeError);
    await expect(expectNoLeaks(async () => ones([2]))).rejects.toThrow('1 storages (8 bytes) stayed alive');
  });
});
