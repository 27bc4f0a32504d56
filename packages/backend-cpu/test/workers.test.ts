import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { cpuBackend } from '@frugal/backend-cpu';
import { Random, scope } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { needsNative } from './native.js';

needsNative();

const addonPath = fileURLToPath(new URL('../native/build/frugal-cpu.node', import.meta.url));

/** What a worker runs: products of matrices of ones on three threads, straight through the addon, then it ends. */
const program = `
const { parentPort } = require('node:worker_threads');
const addon = require(${JSON.stringify(addonPath)});
const words = new Float64Array(200);
addon.initialize(words.buffer);
const n = 96;
const arrays = [1, 2, 0].map((value) => new Float32Array(new ArrayBuffer(n * n * 4)).fill(value));
const views = arrays.flatMap((array) => [addon.addressOf(array.buffer), 0, 2, n, n, n, 1]);
words.set([addon.kernels.indexOf('matmul'), 0, 3, 0, 2, 1, 0, ...views]);
let wrong = 0;
for (let i = 0; i < 100; i++) {
  arrays[2].fill(0);
  addon.execute();
  if (arrays[2].some((value) => value !== 2 * n)) wrong++;
}
parentPort.postMessage(wrong);
`;

function runWorker(): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true });
    let wrong = -1;
    worker.on('message', (count: number) => {
      wrong = count;
    });
    worker.on('error', reject);
    worker.on('exit', () => resolve(wrong));
  });
}

it('shares the thread pool between worker threads that come and go', async () => {
  const backend = cpuBackend({ threads: 3, minimumWork: 0 });
  const random = new Random(1);
  const x = random.normal([120, 120], { backend });
  const expected = await x.matmul(x).bytes();
  for (let round = 0; round < 3; round++) {
    const workers = Promise.all([runWorker(), runWorker(), runWorker()]);
    for (let i = 0; i < 50; i++) scope(() => void x.matmul(x));
    expect(await workers).toEqual([0, 0, 0]);
    expect(await x.matmul(x).bytes()).toEqual(expected);
  }
});
