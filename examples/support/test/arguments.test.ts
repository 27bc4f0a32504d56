import { expect, it, onTestFinished, vi } from 'vitest';
import { parseArguments } from '../src/index.js';

const usage = 'Does something.';

/** What ends the process, and what was said before. */
function ending(args: readonly string[]): { readonly code: unknown; readonly said: string } {
  const said: string[] = [];
  const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new RangeError(String(code));
  });
  const outputs = (['log', 'error'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((text: string) => void said.push(text)),
  );
  onTestFinished(() => {
    for (const spy of [exit, ...outputs]) spy.mockRestore();
  });
  try {
    parseArguments(usage, {}, args);
    return { code: null, said: said.join('\n') };
  } catch (error) {
    return { code: Number((error as Error).message), said: said.join('\n') };
  }
}

it('every example takes the same options, and its own', () => {
  const options = { model: { type: 'string' }, fast: { type: 'boolean', default: false } } as const;
  expect(parseArguments(usage, options, ['--quick', '--seed', '7', '--no-serve', '--model', 'm'])).toEqual({
    quick: true,
    seed: 7,
    serve: false,
    port: 8080,
    others: { model: 'm', fast: false },
  });
  expect(parseArguments(usage, {}, [])).toMatchObject({ quick: false, seed: 1, serve: true });
});

it('a wrong command line says what is wrong, and how it would be right', () => {
  expect(ending(['--seed', 'x'])).toEqual({
    code: 2,
    said: `--seed takes a whole number: got x.\n\n${usage}`,
  });
  expect(ending(['--fast'])).toMatchObject({ code: 2, said: expect.stringContaining(usage) });
  expect(ending(['--help'])).toEqual({ code: 0, said: usage });
});
