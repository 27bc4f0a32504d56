import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { needsStub, stubControl, stubFolder } from './ascend.js';

// Breaks each rule of CANN once, on purpose, to prove that the stub notices: passing the other tests then means something.
needsStub();

const [TO_DEVICE, TO_HOST, F32, I32, ND] = [1, 2, 0, 3, 2];
type CFunction = ((...inputs: unknown[]) => unknown) & { async: (...inputs: unknown[]) => void };

let control: ReturnType<typeof stubControl>;
let c: Record<string, CFunction>;
let stream: unknown;
const slot = new BigUint64Array(2);

beforeAll(() => {
  if (!stubFolder) return;
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const folder = join(stubFolder, 'cann-8', 'lib64');
  const libraries = ['libascendcl.so', 'libnnopbase.so', 'libopapi.so', 'libhccl.so'].map((name) =>
    koffi.load(join(folder, name), { lazy: true, global: true }),
  );
  const P = 'void *';
  const phase2 = [P, 'uint64_t', P, P];
  const declared: [number, string, string, string[]][] = [
    [0, 'aclInit', 'int', [P]],
    [0, 'aclFinalize', 'int', []],
    [0, 'aclrtGetDeviceCount', 'int', [P]],
    [0, 'aclrtSetDevice', 'int', ['int32_t']],
    [0, 'aclrtResetDevice', 'int', ['int32_t']],
    [0, 'aclrtCreateStream', 'int', [P]],
    [0, 'aclrtDestroyStream', 'int', [P]],
    [0, 'aclrtSynchronizeStream', 'int', [P]],
    [0, 'aclrtMalloc', 'int', [P, 'size_t', 'int']],
    [0, 'aclrtFree', 'int', [P]],
    [0, 'aclrtMemcpy', 'int', [P, 'size_t', P, 'size_t', 'int']],
    [0, 'aclGetRecentErrMsg', 'const char *', []],
    [1, 'aclCreateTensor', P, [P, 'uint64_t', 'int', P, 'int64_t', 'int', P, 'uint64_t', P]],
    [1, 'aclDestroyTensor', 'int', [P]],
    [2, 'aclnnNegGetWorkspaceSize', 'int', [P, P, P, P]],
    [2, 'aclnnNeg', 'int', phase2],
    [2, 'aclnnAbs', 'int', phase2],
    [2, 'aclnnGatherV2GetWorkspaceSize', 'int', [P, 'int64_t', P, P, P, P]],
    [2, 'aclnnGatherV2', 'int', phase2],
    [3, 'HcclGetRootInfo', 'int', [P]],
    [3, 'HcclCommInitRootInfo', 'int', ['uint32_t', P, 'uint32_t', P]],
    [3, 'HcclAllReduce', 'int', [P, P, 'uint64_t', 'int', 'int', P, P]],
    [3, 'HcclCommDestroy', 'int', [P]],
    [2, 'aclnnSoftmaxGetWorkspaceSize', 'int', [P, 'int64_t', P, P, P]],
    [2, 'aclnnSoftmax', 'int', phase2],
  ];
  c = Object.fromEntries(
    declared.map(([library, name, result, inputs]) => [name, libraries[library].func(name, result, inputs)]),
  ) as unknown as Record<string, CFunction>;
  control = stubControl();
});

afterEach(() => {
  if (stubFolder) control.forget();
});

const everBroken = new Set<string>();

/** Rules that were broken since the last call. */
function broken(): string[] {
  const rules = control
    .violations()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':')[0]);
  control.forget();
  for (const rule of rules) everBroken.add(rule);
  return [...new Set(rules)];
}

function malloc(size: number): bigint {
  expect(c.aclrtMalloc(slot, size, 0)).toBe(0);
  return slot[0];
}

interface Described {
  readonly data: bigint;
  readonly dims?: readonly number[];
  readonly strides?: readonly number[];
  readonly offset?: number;
  readonly storage?: number;
  readonly format?: number;
  readonly dtype?: number;
}

const longs = (numbers: readonly number[]) => BigInt64Array.from(numbers, BigInt);

function describeTensor({
  data,
  dims = [8],
  strides = [1],
  offset = 0,
  storage = 8,
  format = ND,
  dtype = F32,
}: Described) {
  const sizes = longs([storage]);
  return c.aclCreateTensor(longs(dims), dims.length, dtype, longs(strides), offset, format, sizes, 1, data);
}

/** Phase 1 of -x on 8 numbers; everything is given to `use` and destroyed afterwards. */
function withNegation(use: (executor: bigint, x: unknown, block: bigint) => void): void {
  const block = malloc(32);
  const x = describeTensor({ data: block });
  expect(c.aclnnNegGetWorkspaceSize(x, x, slot, slot.subarray(1))).toBe(0);
  use(slot[1], x, block);
  if (stream) c.aclrtSynchronizeStream(stream);
  c.aclDestroyTensor(x);
  c.aclrtFree(block);
}

describe('before a device is set', () => {
  it('knows that aclInit is missing', () => {
    expect(c.aclrtMalloc(slot, 32, 0)).toBe(100001);
    expect(broken()).toEqual(['init']);
    expect(c.aclInit(null)).toBe(0);
    expect(c.aclInit(null)).toBe(100002);
  });

  it('knows that the thread has no context, and tells it once', () => {
    c.aclGetRecentErrMsg();
    expect(c.aclrtMalloc(slot, 32, 0)).toBe(107002);
    expect(broken()).toEqual(['context']);
    expect(c.aclGetRecentErrMsg()).toContain('no context');
    expect(c.aclGetRecentErrMsg()).toBeNull();
    expect(c.aclrtSetDevice(7)).toBe(107001);
    expect(c.aclrtSetDevice(0)).toBe(0);
    expect(c.aclrtCreateStream(slot)).toBe(0);
    stream = slot[0];
  });
});

describe('memory', () => {
  it.each<[string, () => unknown]>([
    ['malloc-size', () => c.aclrtMalloc(slot, 0, 0)],
    ['free-unknown', () => c.aclrtFree(4096n)],
    ['copy-range', () => c.aclrtMemcpy(4096n, 8, new Uint8Array(8), 8, TO_DEVICE)],
  ])('%s', (rule, breakIt) => {
    expect(breakIt()).not.toBe(0);
    expect(broken()).toEqual([rule]);
  });

  it('copies no more than fits, and not beyond a block', () => {
    const block = malloc(32);
    expect(c.aclrtMemcpy(block, 16, new Uint8Array(32), 32, TO_DEVICE)).toBe(107000);
    expect(broken()).toEqual(['copy-room']);
    expect(c.aclrtMemcpy(new Uint8Array(64), 64, block, 64, TO_HOST)).toBe(107000);
    expect(broken()).toEqual(['copy-range']);
    expect(c.aclrtFree(block)).toBe(0);
    expect(c.aclrtFree(block)).not.toBe(0);
    expect(broken()).toEqual(['free-unknown']);
  });
});

describe('descriptors', () => {
  it.each<[string, (block: bigint) => Described]>([
    ['alignment', (block) => ({ data: block + 4n, storage: 7, dims: [7] })],
    ['view-range', (block) => ({ data: block, offset: 1 })],
    ['view-range', (block) => ({ data: block, strides: [2] })],
    ['storage-range', (block) => ({ data: block, storage: 9 })],
    ['negative-stride', (block) => ({ data: block, strides: [-1], offset: 7 })],
    ['format', (block) => ({ data: block, format: 0 })],
    ['dtype', (block) => ({ data: block, dtype: 5 })],
  ])('%s', (rule, make) => {
    const block = malloc(32);
    const tensor = describeTensor(make(block));
    expect(broken()).toEqual([rule]);
    c.aclDestroyTensor(tensor);
    c.aclrtFree(block);
  });

  it('are destroyed once', () => {
    const block = malloc(32);
    const tensor = describeTensor({ data: block });
    expect(c.aclDestroyTensor(tensor)).toBe(0);
    expect(c.aclDestroyTensor(tensor)).not.toBe(0);
    expect(broken()).toEqual(['destroy-unknown']);
    expect(c.aclnnNegGetWorkspaceSize(tensor, tensor, slot, slot.subarray(1))).toBe(161001);
    expect(broken()).toEqual(['descriptor']);
    c.aclrtFree(block);
  });

  it('live until phase 2', () => {
    const block = malloc(32);
    const x = describeTensor({ data: block });
    c.aclnnNegGetWorkspaceSize(x, x, slot, slot.subarray(1));
    c.aclDestroyTensor(x);
    expect(c.aclnnNeg(null, 0, slot[1], stream)).not.toBe(0);
    expect(broken()).toEqual(['descriptor-lifetime']);
    c.aclrtFree(block);
  });
});

describe('executors', () => {
  it('are used once', () =>
    withNegation((executor) => {
      expect(c.aclnnNeg(null, 0, executor, stream)).toBe(0);
      expect(broken()).toEqual([]);
      expect(c.aclnnNeg(null, 0, executor, stream)).not.toBe(0);
      expect(broken()).toEqual(['executor']);
    }));

  it('belong to their op', () =>
    withNegation((executor) => {
      expect(c.aclnnAbs(null, 0, executor, stream)).not.toBe(0);
      expect(broken()).toEqual(['executor-op']);
    }));

  it('belong to a stream that is there', () =>
    withNegation((executor) => {
      expect(c.aclnnNeg(null, 0, executor, 4096n)).not.toBe(0);
      expect(broken()).toEqual(['stream-unknown']);
    }));

  it('belong to their thread, which has the context', async () => {
    const block = malloc(32);
    const x = describeTensor({ data: block });
    c.aclnnNegGetWorkspaceSize(x, x, slot, slot.subarray(1));
    const elsewhere = promisify(c.aclnnNeg.async as (...inputs: unknown[]) => void) as (
      ...inputs: unknown[]
    ) => Promise<unknown>;
    expect(await elsewhere(null, 0, slot[1], stream)).toBe(107002);
    expect(broken().sort()).toEqual(['context', 'executor-thread']);
    c.aclDestroyTensor(x);
    c.aclrtFree(block);
  });

  it('get the workspace that they asked for', () => {
    const block = malloc(32);
    const x = describeTensor({ data: block });
    expect(c.aclnnSoftmaxGetWorkspaceSize(x, 0, x, slot, slot.subarray(1))).toBe(0);
    expect(slot[0]).toBeGreaterThan(0n);
    expect(c.aclnnSoftmax(null, 0, slot[1], stream)).not.toBe(0);
    expect(broken()).toEqual(['workspace']);
    c.aclDestroyTensor(x);
    c.aclrtFree(block);
  });

  it('refuse shapes that do not fit, with a reason', () => {
    const block = malloc(32);
    const [x, y] = [describeTensor({ data: block }), describeTensor({ data: block, dims: [4] })];
    expect(c.aclnnNegGetWorkspaceSize(x, y, slot, slot.subarray(1))).toBe(161002);
    expect(c.aclGetRecentErrMsg()).toMatch(/aclnnNeg.*shape/);
    expect(broken()).toEqual([]);
    for (const tensor of [x, y]) c.aclDestroyTensor(tensor);
    c.aclrtFree(block);
  });
});

describe('streams', () => {
  it('do nothing until somebody waits', () =>
    withNegation((executor, _, block) => {
      const numbers = Float32Array.from({ length: 8 }, (_, i) => i + 1);
      c.aclrtMemcpy(block, 32, numbers, 32, TO_DEVICE);
      c.aclnnNeg(null, 0, executor, stream);
      const seen = new Float32Array(8);
      c.aclrtMemcpy(seen, 32, block, 32, TO_HOST);
      expect([...seen]).toEqual([...numbers]);
      c.aclrtSynchronizeStream(stream);
      c.aclrtMemcpy(seen, 32, block, 32, TO_HOST);
      expect([...seen]).toEqual([...numbers].map((n) => -n));
      expect(broken()).toEqual([]);
    }));

  it('need their memory until they have run', () => {
    const block = malloc(32);
    const x = describeTensor({ data: block });
    c.aclnnNegGetWorkspaceSize(x, x, slot, slot.subarray(1));
    c.aclnnNeg(null, 0, slot[1], stream);
    c.aclDestroyTensor(x); // allowed: phase 2 is over
    c.aclrtFree(block);
    expect(broken()).toEqual(['free-in-use']);
    c.aclrtSynchronizeStream(stream);
    expect(broken()).toEqual(['use-after-free']);
  });
});

describe('contexts', () => {
  it('have streams of their own', () => {
    process.env.FRUGAL_STUB_DEVICES = '2';
    c.aclrtGetDeviceCount(new Uint32Array(1));
    expect(c.aclrtSetDevice(1)).toBe(0);
    expect(c.aclrtSynchronizeStream(stream)).toBe(107003);
    expect(broken()).toEqual(['stream-context']);
    expect(c.aclrtResetDevice(1)).toBe(0);
    // Set once more and given back once: as before.
    expect(c.aclrtSetDevice(0)).toBe(0);
    expect(c.aclrtResetDevice(0)).toBe(0);
    expect(c.aclrtSynchronizeStream(stream)).toBe(0);
    expect(broken()).toEqual([]);
  });
});

describe('communicators', () => {
  const [HCCL_F32, SUM] = [4, 0];

  it('are destroyed once, and reach no memory beyond a block', () => {
    const info = new Uint8Array(4108);
    expect(c.HcclGetRootInfo(info)).toBe(0);
    expect(c.HcclCommInitRootInfo(1, info, 0, slot)).toBe(0);
    const communicator = slot[0];
    const block = malloc(32);
    expect(c.HcclAllReduce(block, block, 8, HCCL_F32, SUM, communicator, stream)).toBe(0);
    expect(broken()).toEqual([]);
    expect(c.HcclAllReduce(block, block, 9, HCCL_F32, SUM, communicator, stream)).not.toBe(0);
    expect(broken()).toEqual(['collective-range']);
    c.aclrtSynchronizeStream(stream);
    expect(c.HcclCommDestroy(communicator)).toBe(0);
    expect(c.HcclCommDestroy(communicator)).not.toBe(0);
    expect(broken()).toEqual(['communicator']);
    c.aclrtFree(block);
    rmSync(String.fromCharCode(...info.subarray(0, info.indexOf(0))), { recursive: true });
  });
});

describe('kernels', () => {
  it('read no row that is not there', () => {
    const block = malloc(32);
    const indices = malloc(4);
    c.aclrtMemcpy(indices, 4, Int32Array.of(8), 4, TO_DEVICE);
    const table = describeTensor({ data: block, dims: [8, 1], strides: [1, 1] });
    const index = describeTensor({ data: indices, dims: [1], storage: 1, dtype: I32 });
    const out = describeTensor({ data: block, dims: [1, 1], strides: [1, 1] });
    expect(c.aclnnGatherV2GetWorkspaceSize(table, 0, index, out, slot, slot.subarray(1))).toBe(0);
    expect(c.aclnnGatherV2(null, 0, slot[1], stream)).toBe(0);
    expect(broken()).toEqual([]);
    c.aclrtSynchronizeStream(stream);
    expect(broken()).toEqual(['index']);
    for (const tensor of [table, index, out]) c.aclDestroyTensor(tensor);
    for (const memory of [block, indices]) c.aclrtFree(memory);
  });
});

describe('the end', () => {
  it('is in order, and nothing is left', () => {
    const block = malloc(32);
    const tensor = describeTensor({ data: block });
    c.aclnnNegGetWorkspaceSize(tensor, tensor, slot, slot.subarray(1));
    c.aclrtResetDevice(0);
    expect(broken()).toEqual(['destroy-order']);
    expect(c.aclFinalize()).toBe(0);
    const said = control.violations();
    expect(said).toMatch(/leak: 1 blocks/);
    expect(said).toMatch(/leak: 1 descriptors 1 executors/);
    expect(said).toMatch(/leak: 1 streams/);
    expect(said).not.toMatch(/was not reset/);
    expect(broken()).toEqual(['leak']);
  });

  it('gives the device back', () => {
    c.aclInit(null);
    c.aclrtSetDevice(0);
    expect(c.aclFinalize()).toBe(0);
    expect(control.violations()).toMatch(/leak: device 0 was not reset/);
  });

  it('leaves no rule that was not broken here', () => {
    const folder = new URL('../stub/', import.meta.url);
    const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'));
    const rules = sources.flatMap((source) =>
      [...source.matchAll(/violation\("([a-z-]+)"/g)].map(([, rule]) => rule),
    );
    expect([...everBroken].sort()).toEqual([...new Set(rules)].sort());
  });
});
