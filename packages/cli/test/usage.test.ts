import { describe, expect, it } from 'vitest';
import { verbsFor } from '../src/verbs/index.js';
import { frugal } from './support/terminal.js';
import { temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();

async function verbNames(): Promise<string[]> {
  const { out } = await frugal(['--help']);
  const names = [...out.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name);
  return names.filter((name) => name !== 'help');
}

/** Verbs that have verbs below them. */
const groups = new Set(['data', 'moe']);

describe('help', () => {
  it('lists every verb', async () => {
    expect(await verbNames()).toHaveLength((await verbsFor([])).length);
  });

  it('has examples and --json for every verb', async () => {
    for (const name of await verbNames()) {
      const { code, out } = await frugal([name, '--help']);
      expect(code, name).toBe(0);
      expect(out, name).toMatch(/Examples:\n {2}frugal /);
      if (!groups.has(name)) expect(out, name).toMatch(/--json/);
    }
  });

  it('prints the version', async () => {
    expect((await frugal(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage exits with 2 and helps', () => {
  it.each([
    [[], /Usage: frugal/],
    [['inspekt'], /unknown command 'inspekt'\n\(Did you mean inspect\?\)/],
    [['inspect'], /missing required argument 'MODEL'/],
    [['inspect', folder, '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['inspect', folder, 'another'], /too many arguments/],
    [['generate', folder, '--promt', 'x'], /unknown option '--promt'\n\(Did you mean --prompt\?\)/],
    [
      ['generate', folder, '--prompt', 'x', '--seed', '9007199254740992'],
      /Expected an integer, at most 9007199254740991/,
    ],
    [['serve', folder, '--port', '99999'], /Expected an integer, at most 65535/],
    [['generate', folder], /required option '--prompt <TEXT>' not specified/],
    [
      ['generate', folder, '--prompt', 'x', '--backend', 'gpu'],
      /Allowed choices are auto, cuda, ascend, cpu, reference/,
    ],
  ])('%j', async (args, message) => {
    const { code, out, err } = await frugal(args);
    expect(err).toMatch(message);
    expect(out).toBe('');
    expect(code).toBe(2);
  });
});

describe('failures exit with 1, and one line says why', () => {
  it.each([
    [['inspect', `${folder}/nowhere`], /^error: \[.*nowhere\] there is no checkpoint here/],
    [['inspect', folder], /no config\.json/],
    [['inspect', 'model.bin'], /weights alone are no model: got model\.bin/],
    [['generate', 'model.safetensors', '--prompt', 'x'], /Name the folder/],
    [['serve', `${folder}/nowhere`], /nowhere\] there is no such folder or file/],
    [['pretrain', folder], /this is a folder, not a file/],
    [['data', 'split', `${folder}/nowhere.txt`, '--out', `${folder}/split`], /no such file\.$/m],
  ])('%j', async (args, message) => {
    const { code, err } = await frugal(args);
    expect(err).toMatch(message);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect(code).toBe(1);
  });

  it.each([
    ['ENOSPC', 'write', /^error: ENOSPC: no room, write\. Free disk space/],
    ['EROFS', 'open', /The disk is read-only: choose another folder\.$/m],
    ['ENOENT', 'mkdir', /Choose a folder that is there and may be written to\.$/m],
    ['EIO', 'read', /^error: EIO: no room, read\n$/],
  ])('what the system refuses comes with advice: %s', async (code, syscall, message) => {
    const { reportError } = await import('../src/errors.js');
    let err = '';
    const collect = (text: string) => {
      err += text;
    };
    const terminal = { out: () => {}, err: collect, input: process.stdin };
    const refusal = Object.assign(new Error(`${code}: no room, ${syscall}`), { code, syscall });
    expect(await reportError(refusal, terminal)).toBe(1);
    expect(err).toMatch(message);
  });

  it('shows a stack only for what nobody foresaw', async () => {
    const { reportError } = await import('../src/errors.js');
    let err = '';
    const collect = (text: string) => {
      err += text;
    };
    const terminal = { out: () => {}, err: collect, input: process.stdin };
    expect(await reportError(new TypeError('x is not a function'), terminal)).toBe(1);
    expect(err).toContain('TypeError: x is not a function\n    at ');
    expect(err).toContain('please report');
  });
});
