import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Setting } from '../part.js';

/** From `npm run bench -- moe -- --models`: a sparse model beside a dense one of the same size. */
export interface Experts {
  readonly flopsPerToken: { readonly ratio: number };
  readonly rows: readonly {
    readonly name: string;
    readonly ours: number;
    readonly theirs: number;
    readonly ratio: number;
  }[];
}

export async function measureExperts({ root, quick }: Setting): Promise<Experts> {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-claims-'));
  const file = join(folder, 'moe.json');
  const program = join(root, 'benchmarks/dist/moe/main.js');
  const repeats = quick ? '1' : '9';
  const args = [program, '--models', '--repeats', repeats, '--json', file];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error('[claims] the benchmark moe ended with an error');
  const speed = JSON.parse(readFileSync(file, 'utf8')) as Experts;
  rmSync(folder, { recursive: true });
  return speed;
}
