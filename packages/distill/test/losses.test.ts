import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { type Backend, referenceBackend, setBackend, type Tensor } from '@frugal/tensor-core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Divergence,
  divergenceLoss,
  forwardKL,
  hiddenLoss,
  jensenShannon,
  reverseKL,
  skewKL,
  skewReverseKL,
  storedDivergenceLoss,
  topLogs,
  uldLoss,
} from '../src/index.js';
import { distance, type LossCase, lossCases, Same, tensorOf, valuesOf } from './fixture.js';

/** f32's own: logits of the temperature 0.7 reach 13, whose rounding alone changes an exponential by 5e-7. */
const TOLERANCE = 2e-6;

function divergenceOf({ kind, share }: LossCase): Divergence {
  const all: Record<string, () => Divergence> = {
    'forward-kl': () => forwardKL,
    'reverse-kl': () => reverseKL,
    'jensen-shannon': () => jensenShannon(share),
    'skew-kl': () => skewKL(share),
    'skew-reverse-kl': () => skewReverseKL(share),
  };
  return all[kind]();
}

function native(): { readonly backend: Backend | null; readonly reason: string } {
  try {
    return { backend: cpuBackend(), reason: '' };
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return { backend: null, reason: error.message };
    throw error;
  }
}

const backends = [
  { on: 'reference', backend: referenceBackend(), reason: '' },
  { on: 'native', ...native() },
];

async function expectCase(name: string, loss: Tensor, student: Tensor, columns?: number): Promise<void> {
  loss.backward();
  const gradient = await (student.grad as Tensor).contiguous().toFloat32();
  expect(distance(await loss.toFloat32(), valuesOf(`${name}/loss`)), 'loss').toBeLessThan(TOLERANCE);
  const expected = valuesOf(`${name}/gradient`);
  const wide = columns ? expected.filter((_, i) => i % 19 < columns) : expected;
  expect(distance(gradient, wide), 'gradient').toBeLessThan(TOLERANCE);
}

describe.each(backends)('PyTorch in float64 and ours agree ($on)', ({ backend, reason }) => {
  const run = (name: string, cases: readonly LossCase[], check: (each: LossCase) => Promise<void>) => {
    it.each(cases)(`${name}: $name`, check);
  };
  if (!backend) return void it('needs the native addon', (context) => context.skip(reason));
  beforeAll(() => setBackend(backend));

  const divergences = lossCases.filter(({ temperature, share }) => temperature && share !== undefined);
  run('divergence', divergences, async (each) => {
    const { name, temperature, topK } = each;
    const student = tensorOf('divergences/student').setRequiresGrad(true);
    const teacher = { hidden: tensorOf('divergences/teacher'), head: new Same(23) };
    const weights = tensorOf('divergences/weights');
    const options = { divergence: divergenceOf(each), temperature, weights };
    const loss = divergenceLoss(student, new Same(23), teacher, { ...options, topK: topK ?? undefined });
    await expectCase(name, loss, student);
    if (topK === null) return;
    const stored = topLogs(tensorOf('divergences/teacher').mul(1 / temperature), topK);
    const again = tensorOf('divergences/student').setRequiresGrad(true);
    await expectCase(name, storedDivergenceLoss(again, new Same(23), stored, options), again);
  });

  run(
    'hidden states',
    lossCases.filter(({ kind }) => kind === 'mse' || kind === 'cosine'),
    async ({ name, kind }) => {
      const student = tensorOf('hidden/student').setRequiresGrad(true);
      const options = { distance: kind as 'mse' | 'cosine', weights: tensorOf('hidden/weights') };
      await expectCase(name, hiddenLoss(student, tensorOf('hidden/teacher'), options), student);
    },
  );

  run(
    'universal',
    lossCases.filter(({ kind }) => kind === 'uld'),
    async ({ name, temperature, width }) => {
      const student = tensorOf('uld/student').slice(1, 0, width).copy().setRequiresGrad(true);
      const teacher = { hidden: tensorOf('uld/teacher'), head: new Same(13) };
      const options = { temperature, weights: tensorOf('uld/weights') };
      await expectCase(name, uldLoss(student, new Same(width), teacher, options), student, width);
    },
  );
});
