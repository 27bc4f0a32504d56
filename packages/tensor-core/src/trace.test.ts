import { afterEach, describe, expect, it } from 'vitest';
import type { Backend, Kernel, TensorView } from './backend.js';
import { ones, tensor } from './creation.js';
import { observer, profile } from './debug.js';
import { referenceBackend } from './reference/index.js';
import { withBackend } from './registry.js';
import { observerFromEnvironment, type TraceLevel, traceOps } from './trace.js';

const environment = { debug: process.env.FRUGAL_DEBUG, sync: process.env.FRUGAL_SYNC };

afterEach(() => {
  observer.current = null;
  setEnvironment(environment);
});

function setEnvironment({ debug, sync }: { debug?: string | undefined; sync?: string | undefined }): void {
  for (const [name, value] of Object.entries({ FRUGAL_DEBUG: debug, FRUGAL_SYNC: sync })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

/** Lines that a level writes while `fn` runs. */
function lines(level: TraceLevel, fn: () => void): string[] {
  const written: string[] = [];
  observer.current = traceOps({ level, write: (line) => written.push(line) });
  fn();
  observer.current = null;
  return written;
}

function badDivision(): void {
  const zero = tensor([0, 2]);
  zero.exp().log().div(zero).add(1);
}

describe('traceOps', () => {
  it('level 1 names ops with dtypes and shapes', () => {
    expect(lines(1, () => ones([2, 3]).matmul(ones([3, 4])))).toEqual([
      '#1 fill () → f32 [2, 3]',
      '#2 fill () → f32 [3, 4]',
      '#3 matmul f32 [2, 3], f32 [3, 4] → f32 [2, 4]',
    ]);
  });

  it('level 2 adds the time', () => {
    expect(lines(2, () => ones([2]))).toEqual([
      expect.stringMatching(/^#1 fill \(\) → f32 \[2\] \d+\.\d{3} ms$/),
    ]);
  });

  it('level 3 names the first op with NaN or infinity, where it was called, and none after it', () => {
    const written = lines(3, badDivision).filter((line) => line.includes('bad values'));
    expect(written).toHaveLength(1);
    expect(written[0]).toMatch(/^#3 div: .*1 of 2 numbers are NaN or infinite in output 0 f32 \[2\]/);
    expect(written[0]).toContain('badDivision');
  });

  it('level 3 looks at tensors that ops change in place', () => {
    const written = lines(3, () => void ones([2]).assign(tensor([1, Number.NaN])));
    expect(written.at(-1)).toContain('assign: the first op with bad values');
  });

  it('level 4 adds the range of every output', () => {
    const written = lines(4, () => void tensor([1, 2, 6]).cast('bf16').cast('i32'));
    expect(written.filter((line) => line.includes('min'))).toEqual(['#1 cast output 0: min 1 mean 3 max 6']);
  });

  it('looks at the values of devices as they arrive', async () => {
    const device: Backend = Object.create(referenceBackend(), { readSync: { value: undefined } });
    const written: string[] = [];
    observer.current = traceOps({ level: 3, write: (line) => written.push(line) });
    withBackend(device, badDivision);
    expect(written.some((line) => line.includes('bad values'))).toBe(false);
    await new Promise((resolve) => setTimeout(resolve));
    expect(written.some((line) => line.includes('div: the first op with bad values'))).toBe(true);
  });

  it('with synchronize, names the op that failed on the device', async () => {
    let failing = false;
    const failLater: Kernel<'exp'> = () => {
      failing = true;
    };
    const synchronize = async () => {
      if (failing) throw new Error('illegal address');
    };
    const device: Backend = Object.create(referenceBackend(), {
      kernels: { value: { ...referenceBackend().kernels, exp: failLater } },
      synchronize: { value: synchronize },
    });
    const written: string[] = [];
    observer.current = traceOps({ level: 0, synchronize: true, write: (line) => written.push(line) });
    withBackend(device, () => ones([2]).neg().exp().neg());
    await new Promise((resolve) => setTimeout(resolve));
    expect(written[0]).toBe('#3 exp failed on the device: illegal address');
  });
});

describe('observerFromEnvironment', () => {
  it('is null unless a variable asks for it', () => {
    setEnvironment({});
    expect(observerFromEnvironment()).toBeNull();
    setEnvironment({ debug: '0' });
    expect(observerFromEnvironment()).toBeNull();
    setEnvironment({ debug: 'yes' });
    expect(observerFromEnvironment()).toBeNull();
    setEnvironment({ debug: '1' });
    expect(observerFromEnvironment()).not.toBeNull();
    setEnvironment({ sync: '1' });
    expect(observerFromEnvironment()).not.toBeNull();
  });
});

describe('profile', () => {
  it('counts calls and gives the observer back', async () => {
    const before = (
      _op: string,
      _i: readonly TensorView[],
      _o: readonly TensorView[],
      _a: object,
      launch: () => void,
    ) => launch();
    observer.current = before;
    const { result, ops } = await profile(() => ones([2]).add(1).add(2).size);
    expect(result).toBe(2);
    expect(ops.find(({ op }) => op === 'add')).toMatchObject({ calls: 2 });
    expect(ops.every(({ seconds }) => seconds >= 0)).toBe(true);
    expect(observer.current).toBe(before);
  });
});
