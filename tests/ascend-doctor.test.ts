import { run } from '@frugal/cli';
import { afterEach, describe, expect, it } from 'vitest';
import {
  expectNoViolations,
  needsStub,
  openBackend,
  stubControl,
} from '../packages/backend-ascend/test/ascend.js';

needsStub();
expectNoViolations();
afterEach(() => stubControl().repair());

/** What `doctor` prints. */
async function doctor(...args: string[]): Promise<string> {
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const terminal = { out: write, err: write, input: process.stdin };
  expect(await run(['doctor', ...args], { terminal, signal: new AbortController().signal })).toBe(0);
  return said;
}

it('says what an installation of CANN lacks when it refuses an op', async () => {
  openBackend();
  stubControl().failOp('aclnnMatmul', 561107);
  const said = await doctor();
  expect(said.replaceAll(/\s+/g, ' ')).toMatch(/ascend: .*the ops package is not found.*source set_env.sh/);
  expect(said).toMatch(/reference/);
});

describe('a device that refuses some ops', () => {
  const KERNELS_MISSING = 561112;
  const NOT_SUPPORTED = 161002;
  const statuses = { aclnnMatmul: KERNELS_MISSING, aclnnAdd: NOT_SUPPORTED };
  const explained = {
    aclnnMatmul: /aclnnMatmul\] the kernels for this NPU are not installed: .*Install the kernels package/,
    aclnnAdd: /aclnnAdd\] CANN refused it: .*status 161002/,
  };
  type Op = keyof typeof statuses;
  const all = Object.keys(statuses) as Op[];

  it.each<{ refused: readonly Op[] }>([
    { refused: [] },
    { refused: ['aclnnMatmul'] },
    { refused: ['aclnnAdd'] },
    { refused: all },
  ])('is reported with each of them: $refused', async ({ refused }) => {
    const backend = openBackend();
    await backend.synchronize();
    const before = backend.memory.used;
    for (const op of refused) stubControl().refuseOp(op, statuses[op]);
    const { backends } = JSON.parse(await doctor('--json'));
    const { runs, why = '' } = backends.find(({ name }: { name: string }) => name === 'ascend');
    expect(runs).toBe(refused.length === 0);
    const lines = why.split('\n').filter(Boolean);
    expect(lines).toHaveLength(refused.length);
    for (const [i, op] of refused.entries()) expect(lines[i]).toMatch(explained[op]);
    await backend.synchronize();
    expect(backend.memory.used).toBe(before);
  });

  it('is reported to people as well', async () => {
    openBackend();
    for (const op of all) stubControl().refuseOp(op, statuses[op]);
    const said = (await doctor()).replaceAll(/\s+/g, ' ');
    expect(said).toMatch(/ascend: .*aclnnMatmul\] the kernels.*aclnnAdd\] CANN refused it/);
  });
});
