import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@frugal/tensor-core';
import type { TrainBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  type BatchUnits,
  createOptimizer,
  type DistributedOptions,
  type LocalUpdateOptions,
  localCollectives,
  muonWithAdamW,
  sequenceUnits,
  type TrainEvent,
  type TrainOptions,
  train,
  WeightAverage,
} from '../src/index.js';
import { collect, losses, temporaryFolder, tinyRun, weightsOf } from './support.js';
import { type TinyModel, TinySource } from './tiny.js';

type Changes = Partial<Omit<TrainOptions, 'model'>> & { readonly speeds?: readonly number[] };

interface Outcome {
  readonly events: TrainEvent[];
  readonly weights: Float32Array[];
  readonly model: TinyModel;
}

/** The same run by `ranks` ranks of this process; gives what each of them ends with. */
function runRanks(
  ranks: number,
  changes: () => Changes = () => ({}),
  local?: LocalUpdateOptions,
): Promise<Outcome[]> {
  return Promise.all(
    localCollectives(ranks).map(async (collective) => {
      const { speeds, ...others } = changes();
      const distributed: DistributedOptions<TrainBatch> = {
        collective,
        ...(local && { local }),
        ...(speeds && { speeds }),
      };
      const options = tinyRun({
        batches: new TinySource(5),
        optimizer: createOptimizer(muonWithAdamW()),
        accumulate: 2,
        clipNorm: 0.5,
        distributed,
        ...others,
      });
      const events = await collect(train(options));
      return { events, weights: await weightsOf(options.model), model: options.model };
    }),
  );
}

const steps = (events: readonly TrainEvent[]) =>
  events.flatMap((event) =>
    event.type === 'step' ? [[event.step, event.loss, event.gradientNorm, event.tokens]] : [],
  );

const divisions = (events: readonly TrainEvent[]) =>
  events.flatMap((event) => (event.type === 'step' && event.division ? [event.division] : []));

describe('gradients that are exchanged in every step', () => {
  it('give the same bits for any number of ranks', async () => {
    const [alone] = await runRanks(1);
    for (const ranks of [2, 3, 4, 9]) {
      for (const { events, weights } of await runRanks(ranks)) {
        expect(steps(events)).toEqual(steps(alone.events));
        expect(weights).toEqual(alone.weights);
      }
    }
  });

  it('give what one process gives that adds them up in another order, but for rounding', async () => {
    const [[distributed], plain] = await Promise.all([
      runRanks(2),
      losses(
        tinyRun({
          batches: new TinySource(5),
          optimizer: createOptimizer(muonWithAdamW()),
          accumulate: 2,
          clipNorm: 0.5,
        }),
      ),
    ]);
    const seen = steps(distributed.events).map(([, loss]) => loss);
    for (const [i, loss] of plain.entries()) expect(seen[i]).toBeCloseTo(loss, 3);
  });

  it('say how the work was divided, and what was moved', async () => {
    const [first] = await runRanks(2, () => ({ steps: 3 }));
    const all = divisions(first.events);
    expect(all).toHaveLength(3);
    for (const { shares, received } of all) {
      expect(shares.reduce((sum, share) => sum + share)).toBe(10);
      // Half of the gradients in at least one partial sum, the other half of the weights: all 4-byte numbers.
      expect(received).toBeGreaterThan(
        4 * first.model.parameters().reduce((sum, { value }) => sum + value.size, 0) * 0.8,
      );
    }
    const [alone] = await runRanks(1, () => ({ steps: 3 }));
    expect(divisions(alone.events).map(({ received }) => received)).toEqual([0, 0, 0]);
  });

  it('resume with another number of ranks, with the same bits', async () => {
    const folders = [temporaryFolder(), temporaryFolder()];
    const options = (folder: string, count: number) => () => ({
      steps: count,
      average: new WeightAverage({ decay: 0.9 }),
      evaluate: {
        every: 4,
        run: async (step: number) => ({ distance: Math.abs(step - 8) }),
        best: { metric: 'distance' },
      },
      checkpoint: { directory: join(folder, 'checkpoints'), every: 5, resume: true },
      log: join(folder, 'log.jsonl'),
    });
    const [whole] = await runRanks(1, options(folders[0], 14));
    await runRanks(3, options(folders[1], 5));
    await runRanks(2, options(folders[1], 10));
    const resumed = await runRanks(4, options(folders[1], 14));
    for (const { weights } of resumed) expect(weights).toEqual(whole.weights);
    const last = (folder: string) => join(folder, 'checkpoints', 'step-00000014', 'trainer');
    expect(readdirSync(last(folders[1]))).toEqual(readdirSync(last(folders[0])));
    for (const file of ['parameters', 'average'].map((name) => `${name}.safetensors`)) {
      expect(readFileSync(join(last(folders[1]), file))).toEqual(readFileSync(join(last(folders[0]), file)));
    }
    const lines = readFileSync(join(folders[1], 'log.jsonl'), 'utf8').trim().split('\n');
    expect(lines.filter((line) => line.includes('"loss"'))).toHaveLength(14);
    expect(JSON.parse(lines[0])).toMatchObject({
      step: 1,
      shares: expect.any(Array),
      received: expect.any(Number),
    });
  });

  it('end on all ranks when one is told to stop, with a checkpoint', async () => {
    const directory = join(temporaryFolder(), 'checkpoints');
    const controller = new AbortController();
    let rank = 0;
    const run = runRanks(2, () => ({
      checkpoint: { directory },
      ...(rank++ === 1 && { signal: controller.signal }),
      afterStep: (step: number) => {
        if (step === 4) controller.abort(new Error('enough'));
      },
    }));
    await expect(run).rejects.toThrow(/enough|another rank was told to stop/);
    expect(readdirSync(directory).some((name) => name.startsWith('step-0000000'))).toBe(true);
  });

  it('do not depend on how fast a rank is', async () => {
    const [alone] = await runRanks(1);
    for (const speeds of [
      [1, 9],
      [5, 3],
    ]) {
      const [{ weights, events }] = await runRanks(2, () => ({ speeds }));
      expect(divisions(events)[0].shares[0]).toBe(speeds[0] === 1 ? 1 : 6);
      expect(weights).toEqual(alone.weights);
    }
    await expect(runRanks(2, () => ({ speeds: [1] }))).rejects.toThrow(
      /a positive number for each of 2 ranks/,
    );
  });

  it('refuse what would depend on the division', async () => {
    await expect(runRanks(2, () => ({ random: new Random(1) }))).rejects.toThrow(/random numbers/);
    await expect(runRanks(11)).rejects.toThrow(/fewer units than there are ranks: got 10 for 11/);
  });
});

describe('local updates', () => {
  const inner = () => ({ optimizer: createOptimizer({ type: 'adamw' }), steps: 24 });

  it('leave all ranks with the same weights, near those of one process, and move little', async () => {
    // Shares by measured speed would give other losses every time.
    const even = () => ({ ...inner(), speeds: [1, 1] });
    const ranks = await runRanks(2, even, { steps: 6, rounds: 'even' });
    expect(ranks[1].weights).toEqual(ranks[0].weights);
    // One step has few sequences: the losses from the second exchange on, in the mean.
    const late = ({ events }: Outcome) => {
      const all = steps(events)
        .slice(12)
        .map(([, loss]) => loss as number);
      return all.reduce((sum, loss) => sum + loss, 0) / all.length;
    };
    const [alone] = await runRanks(1, inner);
    expect(Math.abs(late(ranks[0]) - late(alone))).toBeLessThan(0.2 * late(ranks[0]));
    const received = divisions(ranks[0].events).map((division) => division.received);
    expect(received.filter((bytes) => bytes > 0)).toHaveLength(4);
  });

  it('of one rank are plain training up to int8', async () => {
    const [local] = await runRanks(1, inner, { steps: 6, bits: 8 });
    const [plain] = await runRanks(1, inner);
    const last = (events: readonly TrainEvent[]) => steps(events).at(-1)?.[1];
    expect(last(local.events)).toBeCloseTo(last(plain.events) as number, 2);
  });

  it('compute every sequence once where batches differ in size', async () => {
    const sizes = [2, 6, 3, 5];
    const computed = sizes.map(() => 0);
    await Promise.all(
      localCollectives(2).map((collective) => {
        let step = 0;
        const batches = {
          next: () => new TinySource(sizes[step++]).next(),
          state: () => null,
          restore: () => {},
        };
        const units: BatchUnits<TrainBatch> = {
          ...sequenceUnits,
          slice(batch, from, to) {
            computed[step - 1] += to - from;
            return sequenceUnits.slice(batch, from, to);
          },
        };
        const distributed = { collective, units, local: { steps: 4 } };
        return collect(train(tinyRun({ ...inner(), batches, steps: 4, distributed })));
      }),
    );
    expect(computed).toEqual(sizes);
  });

  it('resume exactly, and with more ranks', async () => {
    const [whole, parts] = [temporaryFolder(), temporaryFolder()];
    const options =
      (directory: string, count: number, ranks = 2) =>
      () => ({
        optimizer: createOptimizer({ type: 'adamw' }),
        steps: count,
        speeds: [2, 1, 3].slice(0, ranks),
        checkpoint: { directory, every: 6, keep: 9, resume: true },
      });
    // With momentum there is an outer state to be saved.
    const local = { steps: 6, learningRate: 0.7, momentum: 0.9 };
    const expected = await runRanks(2, options(whole, 18), local);
    // As if it had ended after step 12: how rounds grow depends on the steps of the whole run.
    cpSync(whole, parts, { recursive: true });
    rmSync(join(parts, 'step-00000018'), { recursive: true });
    const checkpoint = join(parts, 'step-00000012', 'trainer');
    expect(existsSync(join(checkpoint, 'outer.safetensors'))).toBe(true);
    expect(existsSync(join(checkpoint, 'optimizer-1.safetensors'))).toBe(true);
    const resumed = await runRanks(2, options(parts, 18), local);
    expect(resumed[1].weights).toEqual(expected[0].weights);
    const [a, b, c] = await runRanks(3, options(parts, 30, 3), local);
    expect(b.weights).toEqual(a.weights);
    expect(c.weights).toEqual(a.weights);
  });

  it.each([
    [{ steps: 0 }, /bad steps: got 0; expected a whole number of at least 1/],
    [{ steps: 6, rounds: 'odd' as 'even' }, /bad rounds: got odd; expected growing or even/],
    [{ steps: 6, bits: 5 as 4 }, /bad bits: got 5; expected 4 or 8/],
  ])('refuse %j', async (local, message) => {
    await expect(runRanks(1, inner, local)).rejects.toThrow(message);
  });

  it('refuse evaluations between two exchanges, averages and checkpoints of other runs', async () => {
    const evaluate = { every: 5, run: async () => ({}) };
    await expect(runRanks(1, () => ({ evaluate }), { steps: 6 })).rejects.toThrow(/between two exchanges/);
    await expect(runRanks(1, () => ({ average: new WeightAverage() }), { steps: 6 })).rejects.toThrow(
      /average/,
    );
    const checkpoint = { directory: temporaryFolder(), resume: true };
    await runRanks(1, () => ({ checkpoint, steps: 2 }));
    await expect(runRanks(1, () => ({ checkpoint }), { steps: 6 })).rejects.toThrow(
      /not of a run with local updates/,
    );
  });
});
