import type { Backend } from '../backend.js';
import { fromBytes, tensor } from '../creation.js';
import { dispatch } from '../dispatch.js';
import { bytesPerElement } from '../dtype.js';
import { packedFormat, packedFormatNames } from '../formats/index.js';
import { primitiveOps } from '../ops/specs.js';
import { Random } from '../random.js';
import { recordOps } from '../recording.js';
import { referenceBackend } from '../reference/index.js';
import { scope } from '../scope.js';
import { noGrad } from '../tape.js';
import type { Tensor } from '../tensor.js';
import { checkPackedLayouts } from './packed-layouts.js';

/** A rule of the backend contract that is not about one op. */
export interface ContractCheck {
  readonly name: string;
  /** What is wrong; nothing when the backend keeps the rule. */
  check(backend: Backend): Promise<string[]>;
}

export function checkContract({ check }: ContractCheck, backend: Backend): Promise<string[]> {
  return check(backend);
}

async function bytesOf(make: () => Tensor): Promise<string> {
  const made = scope(make);
  const bytes = await made.bytes();
  made.dispose();
  return bytes.join();
}

function expectEqual(what: string, got: string, expected: string): string[] {
  return got === expected ? [] : [`${what}: got ${got}; expected ${expected}`];
}

function numbered(backend: Backend): Tensor {
  return tensor(
    Float32Array.from({ length: 24 }, (_, i) => i),
    { shape: [2, 3, 4], backend },
  );
}

function floats(...values: number[]): string {
  return new Uint8Array(Float32Array.from(values).buffer).join();
}

export const contractChecks: readonly ContractCheck[] = [
  {
    name: 'every primitive has a kernel',
    check: async ({ kernels }) =>
      primitiveOps.filter((op) => !kernels[op]).map((op) => `no kernel for ${op}`),
  },
  {
    name: 'bytes come back as they were uploaded, in every dtype',
    check: async (backend) => {
      const findings: string[] = [];
      for (const dtype of backend.capabilities.dtypes) {
        const bytes = Uint8Array.from({ length: 5 * bytesPerElement(dtype) }, (_, i) =>
          dtype === 'bool' ? i % 2 : (i * 37 + 11) % 120,
        );
        findings.push(
          ...expectEqual(
            dtype,
            await bytesOf(() => fromBytes(bytes, { shape: [5], dtype, backend })),
            bytes.join(),
          ),
        );
      }
      return findings;
    },
  },
  {
    name: 'upload copies',
    check: async (backend) => {
      const bytes = Uint8Array.from([1, 2, 3]);
      const made = fromBytes(bytes, { shape: [3], dtype: 'u8', backend });
      bytes.fill(9);
      const got = (await made.bytes()).join();
      made.dispose();
      return expectEqual('bytes', got, '1,2,3');
    },
  },
  {
    name: 'read gives a copy',
    check: async (backend) => {
      const made = tensor([1, 2], { backend });
      (await made.bytes()).fill(7);
      const got = (await made.bytes()).join();
      made.dispose();
      return expectEqual('bytes', got, floats(1, 2));
    },
  },
  {
    name: 'views are read in row-major order',
    check: async (backend) => [
      ...expectEqual(
        'transposed',
        await bytesOf(() => numbered(backend).slice(0, 1, 2).reshape(3, 4).transpose().slice(0, 1, 3)),
        floats(13, 17, 21, 14, 18, 22),
      ),
      ...expectEqual(
        'expanded',
        await bytesOf(() => numbered(backend).slice(2, 3, 4).slice(1, 0, 1).expand(2, 2, 1)),
        floats(3, 3, 15, 15),
      ),
      ...expectEqual('empty', await bytesOf(() => numbered(backend).slice(1, 1, 1)), ''),
      ...expectEqual(
        'scalar',
        await bytesOf(() => numbered(backend).slice(0, 1, 2).slice(1, 1, 2).slice(2, 2, 3).reshape()),
        floats(18),
      ),
    ],
  },
  {
    name: 'empty storages can be allocated, uploaded and freed',
    check: async (backend) => {
      backend.free(backend.allocate(0));
      return expectEqual(
        'bytes',
        await bytesOf(() => fromBytes(new Uint8Array(0), { shape: [0, 3], dtype: 'f32', backend })),
        '',
      );
    },
  },
  {
    name: 'readSync gives what read gives',
    check: async (backend) => {
      if (!backend.readSync) return [];
      const made = numbered(backend);
      const view = made.transpose();
      const findings = expectEqual('bytes', backend.readSync(view).join(), (await view.bytes()).join());
      view.dispose();
      made.dispose();
      return findings;
    },
  },
  {
    name: 'the same work gives the same bits',
    check: async (backend) => {
      const work = () => {
        const random = new Random(5);
        const x = random.normal([33, 65], { backend });
        return dispatch('softmax', [x.matmul(random.normal([65, 40], { backend }))], {})[0].sum(0);
      };
      return expectEqual('bytes', await bytesOf(work), await bytesOf(work));
    },
  },
  { name: 'packed layouts lose nothing and change no result', check: checkPackedLayouts },
  {
    name: 'packing gives the bytes of the formats',
    check: async (backend) => {
      const values = new Random(7).normal([2, 256], { backend: referenceBackend() });
      const numbers = await values.toFloat32();
      values.dispose();
      const importance = Float32Array.from({ length: 256 }, (_, i) => i % 7);
      return packedFormatNames().flatMap((format) =>
        [{}, ...(packedFormat(format).weighsColumns ? [{ importance }] : [])].flatMap((options) => {
          const packed = backend.pack?.(format, numbers, 256, options);
          const expected = packedFormat(format).pack(numbers, 2, 256, options);
          return packed ? expectEqual(format, packed.join(), expected.join()) : [];
        }),
      );
    },
  },
  {
    name: 'recorded ops give the bits of direct ones, for other inputs too',
    check: async (backend) => {
      if (!backend.record) return [];
      const weight = new Random(3).normal([24, 24], { backend });
      const work = (x: Tensor) => scope(() => dispatch('softmax', [x.matmul(weight).add(0.5)], {})[0].sum(1));
      const first = scope(() => numbered(backend).reshape(1, 24));
      const { outputs, recorded } = noGrad(() => recordOps([first], () => [work(first)]));
      if (!recorded) return ['nothing was recorded'];
      const other = new Random(4).normal([1, 24], { backend });
      const findings: string[] = [];
      for (const round of [1, 2]) {
        const again = recorded.run([other]);
        const expected = noGrad(() => work(other));
        const [got, wanted] = [await again[0].bytes(), await expected.bytes()];
        findings.push(...expectEqual(`round ${round}`, got.join(), wanted.join()));
        for (const made of [...again, expected]) made.dispose();
        // Changed in place: a recording reads what is there now.
        noGrad(() => scope(() => void weight.assign(new Random(5).normal([24, 24], { backend }))));
      }
      weight.dispose();
      if (recorded.isValid) findings.push('still valid after a tensor that it reads was freed');
      recorded.dispose();
      for (const made of [...outputs, first, other]) made.dispose();
      return findings;
    },
  },
  {
    name: 'synchronize waits for the work enqueued',
    check: async (backend) => {
      const made = scope(() => numbered(backend).mul(2).sum());
      await backend.synchronize();
      const got = await made.item();
      made.dispose();
      return expectEqual('sum', String(got), '552');
    },
  },
];
