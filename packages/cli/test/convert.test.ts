import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const model = await saveTinyModel(join(folder, 'model'));

describe('frugal convert', () => {
  it('says what it would do, does it, and refuses to do it again', async () => {
    const gguf = join(folder, 'model.gguf');
    const planned = JSON.parse((await frugal(['convert', model, gguf, '--dry-run', '--json'])).out);
    const done = JSON.parse((await frugal(['convert', model, gguf, '--json'])).out);
    expect(planned).toEqual({ ...done, dryRun: true });
    expect((await frugal(['convert', model, gguf])).err).toMatch(/exists already/);
    expect((await frugal(['convert', model, gguf, '--force'])).out).toMatch(/F32 → F32.*model\.gguf is /s);
    const generated = (source: string) =>
      frugal(['generate', source, '--prompt', 'Fellow', '--max-tokens', '8', '--json']);
    expect(JSON.parse((await generated(gguf)).out).ids).toEqual(JSON.parse((await generated(model)).out).ids);
  });
});
