import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Files that an entry reaches through relative imports. */
function reached(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const source = readFileSync(file, 'utf8');
  for (const [, path] of source.matchAll(/from '(\.[^']+)\.js'/g))
    reached(join(dirname(file), `${path}.ts`), seen);
  return seen;
}

describe('the browser entry', () => {
  it('reaches nothing of Node', () => {
    const source = fileURLToPath(new URL('../src/', import.meta.url));
    const files = [...reached(join(source, 'browser.ts'))];
    expect(files.length).toBeGreaterThan(15);
    const withNode = files.filter((file) =>
      /from 'node:|\bBuffer\b|\bprocess\b/.test(readFileSync(file, 'utf8')),
    );
    expect(withNode).toEqual([]);
    expect(readdirSync(source)).toContain('index.ts');
  });
});
