import { Readable } from 'node:stream';
import { run, type Terminal } from '../../src/index.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process, on the reference backend unless it says otherwise. */
export async function frugal(
  args: readonly string[],
  { input = '', signal }: { readonly input?: string; readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    input: Readable.from([input]),
  };
  const code = await run(args, { terminal, ...(signal && { signal }) });
  return { code, out, err };
}
