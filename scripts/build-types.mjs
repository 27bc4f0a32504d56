import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/**
 * Emits the declarations of all packages with one TypeScript program: `packages/x/src/a.ts` → `packages/x/dist/a.d.ts`.
 * One program parses the shared types once; a declaration bundler per package would do so for each package anew.
 */
const root = join(fileURLToPath(import.meta.url), '../..');
const configFile = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile);
const include = { include: ['packages/*/src'], exclude: ['**/*.test.ts', '**/dist', '**/node_modules'] };
const config = ts.parseJsonConfigFileContent({ ...configFile.config, ...include }, ts.sys, root);

const program = ts.createProgram(config.fileNames, {
  ...config.options,
  noEmit: false,
  declaration: true,
  emitDeclarationOnly: true,
  stripInternal: true,
});
const emitted = [];
const result = program.emit(
  undefined,
  (file, text) => emitted.push([relative(root, file), text]),
  undefined,
  true,
);
const diagnostics = [...ts.getPreEmitDiagnostics(program), ...result.diagnostics];
if (diagnostics.length > 0) {
  const host = {
    getCurrentDirectory: () => root,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  };
  console.error(ts.formatDiagnostics(ts.sortAndDeduplicateDiagnostics(diagnostics), host));
  process.exit(1);
}

const target = (file) => {
  const [packages, name, source, ...rest] = file.split(sep);
  if (packages !== 'packages' || source !== 'src') throw new Error(`[build-types] unexpected output ${file}`);
  return join(root, packages, name, 'dist', ...rest);
};
for (const [file, text] of emitted) {
  mkdirSync(dirname(target(file)), { recursive: true });
  writeFileSync(target(file), text);
}
