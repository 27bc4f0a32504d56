import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';

/** Where a run keeps its results. Runs with other settings get another folder, so nothing is ever overwritten. */
export class RunDirectory {
  private constructor(readonly path: string) {}

  static async open(
    settings: { readonly size: string },
    base = process.env.FRUGAL_RUN_DIR ?? 'runs/pretrain-distill-deploy',
  ): Promise<RunDirectory> {
    const hash = createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 8);
    const path = join(base, `${settings.size}-${hash}`);
    await mkdir(path, { recursive: true });
    return new RunDirectory(path);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  has(name: string): boolean {
    return existsSync(this.file(name));
  }

  /** A value that is computed once and then read back. */
  async once<T>(name: string, compute: () => Promise<T>): Promise<T> {
    if (this.has(name)) return JSON.parse(await readFile(this.file(name), 'utf8')) as T;
    const value = await compute();
    await saveFile(this.file(name), `${JSON.stringify(value, null, 2)}\n`);
    return value;
  }
}
