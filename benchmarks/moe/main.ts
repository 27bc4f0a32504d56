import { loadavg } from 'node:os';
import { cpuBackend } from '@frugal/backend-cpu';
import { noGrad, Random, run, scope, setBackend, type Tensor, tensor } from '@frugal/tensor-core';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';
import { timed } from '../shared/timed.js';
import { generatedMixture, memoryRows } from './expert-memory.js';
import { modelRows } from './models.js';
import { qualityRows, trainedMixture } from './quality.js';
import { wholeModelRows } from './whole-models.js';

/**
 * What experts cost. First the products of a layer of experts, forward and both gradients: 2,048 tokens, each to 8 of 64
 * experts, 512 channels, 256 neurons; beside one dense product of the same FLOPs, and beside a loop of PyTorch products.
 * Then whole models of four sizes (models.ts): 8 of 64 experts and one shared against a dense model of the same number of
 * parameters, packed in 4 bits, one decoding step of 1 and of 16 sequences. `npm run bench -- moe`; `-- moe -- --repeats 3` is quick, `--threads 1` less
 * disturbed by others: with two, PyTorch's threads wait for each other at the end of every small product. `--models` leaves
 * the products out, `--products` the models, `--size '0.9 B'` other sizes; `--profile` prints kernels. `--memory` measures something else: half of the experts in memory (expert-memory.ts), `--folder DIR` says on
 * which disk, `--trained` takes a small mixture that is trained first, on real text, of one `--language` or both in turns. `--quality` trains: experts beside a dense model of the same active parameters (quality.ts).
 * `--whole` routes between whole models (whole-models.ts).
 */
const [T, k, E, C, F] = [2048, 8, 64, 512, 256];
const ROWS = T * k;
const THREADS = Number(option('--threads') ?? 2);
const repeats = Number(option('--repeats') ?? 9);

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

type Load = 'balanced' | 'Zipf';
type DType = 'f32' | 'bf16';

/** Rows of each expert: all the same, or falling as 1 / rank. */
function offsetsOf(load: Load): Int32Array {
  const weights = Array.from({ length: E }, (_, e) => (load === 'balanced' ? 1 : 1 / (e + 1)));
  const sums = weights.map((_, e) => weights.slice(0, e + 1).reduce((a, b) => a + b));
  return Int32Array.from([0, ...sums.map((sum) => Math.round((ROWS * sum) / sums[E - 1]))]);
}

function products(dtype: DType) {
  const random = new Random(1);
  const draw = (...shape: number[]) => noGrad(() => scope(() => random.normal(shape).cast(dtype)));
  const [x, g, stack, matrix] = [draw(ROWS, C), draw(ROWS, F), draw(E, C, F), draw(C, F)];
  return {
    dense: () => {
      x.matmul(matrix);
      g.matmul(matrix.transpose());
      return x.transpose().matmul(g);
    },
    grouped: (offsets: Tensor) => {
      run('groupedMatmul', [x, stack, offsets], { transposeWeight: false });
      run('groupedMatmul', [g, stack, offsets], { transposeWeight: true });
      return run('groupedMatmulWeightGradient', [x, g, offsets], { groups: E });
    },
  };
}

async function groupedRows(): Promise<Row[]> {
  const rows: Row[] = [];
  const peer = await Peer.start('torch_experts.py', ['--threads', String(THREADS)]);
  if (typeof peer === 'string') console.log(`no PyTorch: ${peer}`);
  for (const dtype of ['f32', 'bf16'] as const) {
    const { dense, grouped } = products(dtype);
    for (const load of ['balanced', 'Zipf'] as const) {
      const offsets = tensor(offsetsOf(load));
      const samples: Record<'grouped' | 'dense' | 'torch', number[]> = { grouped: [], dense: [], torch: [] };
      for (let i = -2; i < repeats; i++) {
        const round = {
          grouped: await timed(() => grouped(offsets)),
          dense: await timed(dense),
          torch:
            typeof peer === 'string' ? Number.NaN : 1000 * (await peer.run(1, `${dtype}-${load}`)).seconds,
        };
        if (i >= 0)
          for (const name of ['grouped', 'dense', 'torch'] as const) samples[name].push(round[name]);
      }
      const name = `64 experts, forward and gradients, ${dtype}, ${load}`;
      const unit = 'ms';
      rows.push({ name, unit, peer: 'one dense product', ours: samples.grouped, theirs: samples.dense });
      const isThere = typeof peer !== 'string';
      rows.push({
        name,
        unit,
        peer: isThere ? `loop, ${peer.version}` : null,
        ours: samples.grouped,
        theirs: isThere ? samples.torch : [],
      });
    }
  }
  if (typeof peer !== 'string') peer.quit();
  return rows;
}

const backend = cpuBackend({ threads: THREADS });
setBackend(backend);
/** Of the last minute: more than the threads of this program means that others were at work. */
const before = loadavg()[0];
if (process.argv.includes('--memory')) {
  const warmUp = 64;
  const subject = process.argv.includes('--trained')
    ? await trainedMixture(
        0.8e6,
        { count: warmUp + 320, language: option('--language') },
        '.cache/moe-quality',
      )
    : await generatedMixture(warmUp + 96);
  const settings = { warmUp, folder: option('--folder') };
  const { rows, notes } = await memoryRows(subject, Number(option('--repeats') ?? 3), settings);
  report(rows, { threads: THREADS, seed: 1, loadAverage: { before, after: loadavg()[0] }, ...notes });
} else if (process.argv.includes('--whole')) {
  const { rows, notes } = await wholeModelRows(Number(option('--pieces') ?? 60), '.cache/moe-quality');
  report(rows, { threads: THREADS, loadAverage: { before, after: loadavg()[0] }, ...notes });
} else if (process.argv.includes('--quality')) {
  const tokens = 1e6 * Number(option('--tokens') ?? 0.8);
  const { rows, notes } = await qualityRows(tokens, option('--folder') ?? '.cache/moe-quality');
  report(rows, { threads: THREADS, loadAverage: { before, after: loadavg()[0] }, ...notes });
} else {
  const grouped = process.argv.includes('--models') ? [] : await groupedRows();
  const { rows, notes } = process.argv.includes('--products')
    ? { rows: [], notes: {} }
    : await modelRows(backend, {
        repeats,
        only: option('--size'),
        profiled: process.argv.includes('--profile'),
      });
  const loadAverage = { before, after: loadavg()[0] };
  report([...grouped, ...rows], {
    threads: THREADS,
    seed: 1,
    loadAverage,
    sizes: { T, k, E, C, F },
    ...notes,
  });
}
