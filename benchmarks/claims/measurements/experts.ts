import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STATED } from '../../moe/stated.js';
import type { Setting } from '../part.js';

/** From `npm run bench -- moe -- --models`: a sparse model beside a dense one of the same size, packed in 4 bits. */
export interface Experts {
  readonly parameters: number;
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
  const args = [program, '--models', '--size', STATED, '--repeats', repeats, '--json', file];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error('[claims] the benchmark moe ended with an error');
  const { rows, models } = JSON.parse(readFileSync(file, 'utf8')) as Pick<Experts, 'rows'> & {
    readonly models: Readonly<
      Record<string, Pick<Experts, 'flopsPerToken'> & { readonly parameters: { readonly sparse: number } }>
    >;
  };
  rmSync(folder, { recursive: true });
  const { parameters, flopsPerToken } = models[STATED];
  return { parameters: parameters.sparse, flopsPerToken, rows };
}
