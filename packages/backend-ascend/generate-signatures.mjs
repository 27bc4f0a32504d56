#!/usr/bin/env node
/**
 * Writes src/abi/signatures.ts from test/fixtures/aclnn-signatures.json, which holds the parameters of the ops that this
 * backend calls, with their types, as the headers of CANN list them (and whether those of CANN 8.1 do). To call another
 * op, add it there, from its header.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

const lines = Object.entries(JSON.parse(read('test/fixtures/aclnn-signatures.json'))).map(
  ([op, { parameters }]) => {
    const ends = parameters.slice(-2).map(([, type]) => type);
    if (ends.join() !== 'out u64,out ptr') throw new Error(`aclnn${op} ends with ${ends}`);
    const types = parameters.slice(0, -2).map(([, type]) => `'${type.replace('(i32)', '')}'`);
    return `  ${op}: [${types.join(', ')}],`;
  },
);
writeFileSync(
  new URL('src/abi/signatures.ts', import.meta.url),
  `// Written by generate-signatures.mjs from CANN's headers: change the list there.

/** Parameters of phase 1 before workspaceSize and executor. */
export const signatures = {
${lines.join('\n')}
} as const;
`,
);
