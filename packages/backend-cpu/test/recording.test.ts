import { cpuBackend } from '@frugal/backend-cpu';
import {
  fromBytes,
  noGrad,
  PackedTensor,
  Random,
  type RecordedOps,
  recordOps,
  run,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { needsNative } from './native.js';

needsNative();

const backend = () => cpuBackend({ threads: 1 });
const ramp = (length: number, factor: number) =>
  tensor(
    Float32Array.from({ length }, (_, i) => factor * (i + 1)),
    { backend: backend() },
  );

describe('a recording', () => {
  it('moves all of an intermediate result whose memory becomes an output, also what lies behind the output', async () => {
    // 255 and 250 numbers share a size class, so that the output takes the memory of what was freed before it.
    const work = (x: Tensor) => {
      const long = x.add(1);
      const end = long.slice(0, 252, 255);
      const last = end.sum();
      for (const each of [long, end]) each.dispose();
      const output = x.slice(0, 0, 250).mul(last);
      return [output];
    };
    const first = ramp(255, 1);
    const made = noGrad(() => recordOps([first], () => work(first)));
    for (const factor of [2, 3]) {
      const x = ramp(255, factor);
      const [expected] = noGrad(() => work(x));
      const [actual] = made.recorded!.run([x]);
      expect(await actual.toFloat32()).toEqual(await expected.toFloat32());
    }
    made.recorded!.dispose();
  });

  it('holds no memory for intermediate results, and shares it with others', async () => {
    const input = ramp(5000, 1);
    const work = (factor: number) => () => {
      const [first, second] = [input.mul(factor), input.add(factor)];
      const output = first.mul(second).sum();
      for (const each of [first, second]) each.dispose();
      return [output];
    };
    const expected = [2, 3, 2].map((factor) => noGrad(work(factor))[0]);
    const before = backend().memoryUsage().liveBytes;
    const made = [2, 3].map((factor) => {
      const { recorded, outputs } = noGrad(() => recordOps([input], work(factor)));
      outputs[0].dispose();
      return recorded as RecordedOps;
    });
    // Each has a factor that the host wrote, twice.
    expect(backend().memoryUsage().liveBytes - before).toBeLessThan(1000);
    for (const [i, recorded] of [made[0], made[1], made[0]].entries()) {
      const [output] = recorded.run([input]);
      expect(await output.toFloat32()).toEqual(await expected[i].toFloat32());
      output.dispose();
    }
    for (const each of made) each.dispose();
    expect(backend().memoryUsage().liveBytes).toBe(before);
  });

  it('is not made when another one is replayed on the way, whose calls it would leave out', async () => {
    const x = ramp(4, 1);
    const inner = noGrad(() => recordOps([x], () => [x.mul(2)])).recorded as RecordedOps;
    const { outputs, recorded } = noGrad(() => recordOps([x], () => [inner.run([x])[0].add(1)]));
    expect(recorded).toBeNull();
    expect([...(await outputs[0].toFloat32())]).toEqual([3, 5, 7, 9]);
    inner.dispose();
  });

  it('is not made when memory from before it is freed on the way', () => {
    const input = ramp(4, 1);
    const weight = ramp(4, 2);
    const work = () => {
      const product = input.mul(weight);
      weight.dispose();
      return [product];
    };
    expect(noGrad(() => recordOps([input], work)).recorded).toBeNull();
  });

  it.each([
    [1, 1],
    [1, 2],
    [3, 2],
    [16, 2],
    [40, 2],
  ])(
    'computes products of the same %i rows, and adapters over them, as one, with the same bits on %i threads',
    async (rows, threads) => {
      const cpu = cpuBackend({ threads, minimumWork: 0 });
      const random = new Random(3);
      const columns = 64;
      const layers = (['q8_0', 'q4_1', 'q4_0'] as const).map((format, i) => {
        const height = [40, 17, 64][i];
        const values = Float32Array.from({ length: height * columns }, (_, j) => Math.sin(i + j));
        const parts = packedFormat(format)
          .pack(values, height, columns)
          .map((part) => {
            const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
            return fromBytes(bytes, { shape: [height, bytes.length / height], dtype: 'u8', backend: cpu });
          });
        return {
          weight: new PackedTensor(format, [height, columns], parts).prepare(),
          down: random.normal([2, 4, columns], { backend: cpu }),
          up: random.normal([2, 4, height], { backend: cpu }),
        };
      });
      const adapter = tensor(
        Int32Array.from({ length: rows }, (_, i) => (i % 3) - 1),
        { dtype: 'i32', backend: cpu },
      );
      // What comes between does not keep products of the same rows apart.
      const work = (x: Tensor) =>
        layers.map(({ weight, down, up }) => {
          const base = weight.matmul(x, 'int8-block32');
          return run('groupedLowRank', [x, down, up, adapter, base], { scale: 0.5, base: true }).mul(2);
        });
      const x = random.normal([rows, columns], { backend: cpu });
      const { recorded } = noGrad(() => recordOps([x], () => work(x)));
      const other = random.normal([rows, columns], { backend: cpu });
      recorded!.measure(true);
      const actual = recorded!.run([other]);
      const calls = Object.fromEntries(recorded!.measure(false).map(({ op, calls }) => [op, calls]));
      expect(calls).toMatchObject({ packedRowsMatmul: 1, groupedLowRank: 1, mul: 3 });
      for (const [i, expected] of noGrad(() => work(other)).entries())
        expect(Buffer.from(await actual[i].bytes()).equals(Buffer.from(await expected.bytes()))).toBe(true);
      recorded!.dispose();
    },
  );
});
