import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';

/** A result in its file. */
interface Kept {
  readonly name: string;
  readonly value: unknown;
}

/**
 * What was measured of a model: a file for each result, `PART/NAME.json`, so that several parts can be measured beside each
 * other and none overwrites what another one found.
 */
export class ResultStore {
  constructor(readonly folder: string) {}

  /** All results of a part, by name: also those that others wrote meanwhile. */
  async all<T>(part: string): Promise<Record<string, T>> {
    const folder = join(this.folder, 'results', part);
    const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.json')).sort();
    const kept = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    return Object.fromEntries(
      kept.map((text) => {
        const { name, value } = JSON.parse(text) as Kept;
        return [name, value as T];
      }),
    );
  }

  async keep(part: string, name: string, value: unknown): Promise<void> {
    const folder = join(this.folder, 'results', part);
    await mkdir(folder, { recursive: true });
    const kept: Kept = { name, value };
    await saveFile(join(folder, `${fileName(name)}.json`), `${JSON.stringify(kept, null, 1)}\n`);
  }

  /** What is known of it, else what `measure` finds. */
  async find<T>(part: string, name: string, measure: () => Promise<T>): Promise<T> {
    const known = (await this.all<T>(part))[name];
    if (known !== undefined) return known;
    const value = await measure();
    await this.keep(part, name, value);
    return value;
  }

  /** Where the model of a variant or setting is kept. */
  model(name: string): string {
    return join(this.folder, fileName(name));
  }
}

function fileName(name: string): string {
  return name.replaceAll(/[^\w]+/g, '-');
}
