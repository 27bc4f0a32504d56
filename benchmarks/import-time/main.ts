import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';

/** How long a fresh process needs to import tensor-core without a native backend: the median of many processes. */
const RUNS = 21;
const LIMIT_MS = 50;

function importTime(specifier: string): number {
  const program = `const start = performance.now(); await import(${JSON.stringify(specifier)}); console.log(performance.now() - start);`;
  const url = import.meta.url;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: new URL('.', url),
    encoding: 'utf8',
  });
  const milliseconds = Number(stdout);
  if (!(milliseconds > 0)) throw new Error(`[import-time] ${specifier} cannot be imported: ${stderr}`);
  return milliseconds;
}

function quantile(sorted: number[], q: number): number {
  return sorted[Math.round(q * (sorted.length - 1))];
}

const times = Array.from({ length: RUNS }, () => importTime('@frugal/tensor-core')).sort((a, b) => a - b);
const [low, median, high] = [0.1, 0.5, 0.9].map((q) => quantile(times, q).toFixed(1));
console.log(`machine: ${cpus()[0].model}, ${cpus().length} threads, Node ${process.version}`);
console.log(
  `import @frugal/tensor-core: median ${median} ms (10 % to 90 %: ${low} to ${high}), ${RUNS} processes`,
);
if (Number(median) > LIMIT_MS) {
  console.error(`slower than the limit of ${LIMIT_MS} ms`);
  process.exitCode = 1;
}
