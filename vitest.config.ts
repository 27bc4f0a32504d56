import { defineConfig } from 'vitest/config';

// Workspace packages run from their sources: tests need no build.
const conditions = ['@frugal/source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['@frugal/source', 'node', 'module-sync'] } },
  test: {
    include: [
      'packages/**/src/**/*.test.ts',
      'packages/**/test/**/*.test.ts',
      'examples/**/*.test.ts',
      'tests/**/*.test.ts',
      'scripts/**/*.test.{ts,mjs}',
    ],
    exclude: ['**/node_modules/**', '**/dist/**', '.cache/**', '.tools/**'],
    pool: 'forks',
    // One more than by default: on two cores that would be a single process.
    maxWorkers: '100%',
    // For what hangs, not for what is slow: a shared machine can be ten times slower than a quiet one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    passWithNoTests: true,
  },
});
