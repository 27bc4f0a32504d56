import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { findProblems } from './check-dependencies.mjs';

let root;
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A repository of one package in a temporary folder. */
function repository(name, { dependencies = {}, files = {} }) {
  root = mkdtempSync(join(tmpdir(), 'frugal-check-'));
  const entry = { '@frugal/source': './src/index.ts', import: './dist/index.js' };
  const manifest = {
    name: `@frugal/${name}`,
    type: 'module',
    sideEffects: false,
    exports: { '.': entry },
    dependencies,
  };
  const all = {
    'package.json': JSON.stringify({ devDependencies: { vitest: '1' } }),
    [`packages/${name}/package.json`]: JSON.stringify(manifest),
    [`packages/${name}/README.md`]: `# ${name}\n`,
    'examples/keep.txt': '',
    ...Object.fromEntries(Object.entries(files).map(([file, text]) => [`packages/${name}/${file}`, text])),
  };
  for (const [file, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return root;
}

const problemsOf = (name, options) => findProblems(repository(name, options));
const core = { '@frugal/tensor-core': 'workspace:*' };

describe('check-dependencies', () => {
  it('accepts what the table allows', () => {
    const files = { 'src/index.ts': "import { a } from '@frugal/tensor-core/nn';\nimport 'node:fs';\n" };
    expect(problemsOf('trainer', { dependencies: core, files })).toEqual([]);
  });

  it('refuses an import against the direction of the arrows', () => {
    const files = { 'src/index.ts': "import type { Trainer } from '@frugal/trainer';\n" };
    const problems = problemsOf('tensor-core', { files });
    expect(problems[0]).toMatch(/src\/index\.ts: imports @frugal\/trainer: tensor-core may use no other/);
  });

  it('allows a single entry of a package where the table says so', () => {
    const files = {
      'src/a.ts': "import '@frugal/tensor-core/formats';\n",
      'src/b.ts': "import '@frugal/tensor-core';\n",
    };
    const problems = problemsOf('checkpoint', { dependencies: core, files });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/src\/b\.ts/);
  });

  it('keeps method packages apart, in tests too', () => {
    const problems = problemsOf('quant', {
      files: { 'test/a.test.ts': "await import('@frugal/distill');\n" },
    });
    expect(problems[0]).toMatch(/meet in compress/);
  });

  it('finds undeclared packages and a manifest that depends the wrong way', () => {
    const files = { 'src/index.ts': "import zod from 'zod';\n" };
    const problems = problemsOf('report', { dependencies: core, files });
    expect(problems.some((line) => /depends on @frugal\/tensor-core/.test(line))).toBe(true);
    expect(problems.some((line) => /imports zod, which its package\.json does not list/.test(line))).toBe(
      true,
    );
  });

  it('finds relative imports that leave the package, default exports and long files', () => {
    const files = {
      'src/a.ts': "import '../../trainer/src/index.js';\nexport default 1;\n",
      'src/b.ts': 'export {};\n'.repeat(401),
    };
    const problems = problemsOf('report', { files }).join('\n');
    expect(problems).toMatch(/outside its package/);
    expect(problems).toMatch(/a\.ts:2: a default export/);
    expect(problems).toMatch(/b\.ts: 401 lines/);
  });

  it('finds paths of one machine', () => {
    const files = { 'src/a.ts': `const file = '/${'root'}/models/a.bin';\n` };
    expect(problemsOf('report', { files })[0]).toMatch(/a\.ts:1: a path of one machine/);
  });
});
