import { type ByteSource, readBytes } from '../byte-source.js';
import { byteLengthOf, type DType, isPlainDType } from '../dtypes.js';
import { CheckpointError, CheckpointFormatError, show } from '../errors.js';
import { entryOf, type TensorEntry, type TensorSource } from '../tensor-source.js';
import { readPickle } from './pickle.js';
import { PickledArray, type PickledBytes, PickledMap, type PickledValue } from './pickle-values.js';

/** numpy's codes of dtypes. bf16 has none: PaddlePaddle stores it as u2, and only the config can tell. */
const DTYPES: Readonly<Record<string, DType>> = {
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
  i1: 'I8',
  u1: 'U8',
  i2: 'I16',
  u2: 'U16',
  i4: 'I32',
  u4: 'U32',
  i8: 'I64',
  u8: 'U64',
  b1: 'BOOL',
};

export interface PaddleOptions {
  /** Read arrays of u2 as bf16, as `dtype: bfloat16` in the model's config says. Default false. */
  readonly bfloat16?: boolean;
}

/**
 * Opens PaddlePaddle weights (`.pdparams`): a pickled dict of numpy arrays, of which nothing is run. Weights of linear
 * layers are [inputs, outputs], transposed to what others have. Closing the result closes `source`.
 */
export async function readPaddle(source: ByteSource, options: PaddleOptions = {}): Promise<TensorSource> {
  const content = await readPickle(source);
  if (!(content instanceof PickledMap)) throw bad(source, 'not a dict of weights');
  const arrays = new Map<string, { entry: TensorEntry; bytes: PickledBytes }>();
  for (const [name, value] of content.entries) {
    const array = arrayOf(value);
    if (name === 'UnpackBigParamInfor@@')
      throw bad(
        source,
        'weights in several parts',
        'Save them with protocol 4 (paddle.save(…, protocol=4)).',
      );
    if (typeof name !== 'string' || !array) continue; // names of parameters, and other settings
    if (arrays.has(name)) throw bad(source, `tensor ${show(name)} appears twice`);
    arrays.set(name, entryFor(name, array, source, options));
  }
  return sourceOf(arrays, source);
}

/** An array, bare or as (name, array). */
function arrayOf(value: PickledValue): PickledArray | null {
  if (value instanceof PickledArray) return value;
  return Array.isArray(value) && value.length === 2 && value[1] instanceof PickledArray ? value[1] : null;
}

function entryFor(
  name: string,
  { shape, dtype: numpy, bytes, fortran }: PickledArray,
  source: ByteSource,
  { bfloat16 = false }: PaddleOptions,
): { entry: TensorEntry; bytes: PickledBytes } {
  const where = `tensor ${show(name)}`;
  const code = numpy?.code ?? '';
  const dtype = bfloat16 && code === 'u2' ? 'BF16' : DTYPES[code];
  if (!numpy || !bytes || !dtype || !isPlainDType(dtype))
    throw bad(source, `${where} has an unknown dtype: ${show(code)}`);
  if (numpy.order === '>') throw bad(source, `${where} is big-endian`);
  if (fortran && shape.length > 1) throw bad(source, `${where} is stored column by column`);
  const byteLength = byteLengthOf(dtype, shape);
  if (byteLength !== bytes.length) {
    throw bad(
      source,
      `${where} has ${bytes.length} bytes, ${dtype} [${shape}] needs ${byteLength ?? 'fewer'}`,
    );
  }
  return { entry: { name, dtype, shape, byteOffset: bytes.start, byteLength, file: source.name }, bytes };
}

function sourceOf(
  arrays: ReadonlyMap<string, { entry: TensorEntry; bytes: PickledBytes }>,
  source: ByteSource,
): TensorSource {
  const entries = new Map([...arrays].map(([name, { entry }]) => [name, entry]));
  const readRange = async (name: string, byteOffset: number, byteLength: number) => {
    const entry = entryOf({ entries }, name);
    if (!(byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= entry.byteLength))
      throw new CheckpointError({ where: entry.file, what: `range outside of tensor ${show(name)}` });
    const inline = arrays.get(name)?.bytes.inline;
    if (inline) return inline.slice(byteOffset, byteOffset + byteLength) as Uint8Array<ArrayBuffer>;
    return readBytes(source, entry.byteOffset + byteOffset, byteLength);
  };
  return {
    format: 'paddle',
    entries,
    metadata: new Map(),
    read: (name) => readRange(name, 0, entries.get(name)?.byteLength ?? 0),
    readRange,
    close: () => source.close(),
  };
}

function bad(source: ByteSource, what: string, hint?: string): CheckpointFormatError {
  return new CheckpointFormatError({ file: source.name, what, ...(hint && { hint }) });
}
