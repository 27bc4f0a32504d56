/** Bytes of a pickle: where they lie in the file, or, where protocol 2 wrote them as text, themselves. */
export class PickledBytes {
  constructor(
    readonly start: number,
    readonly length: number,
    readonly inline: Uint8Array | null = null,
  ) {}
}

/** numpy's description of a dtype: `f4`, with its byte order. */
export class PickledDType {
  order = '<';
  constructor(readonly code: string) {}
}

/** A numpy array; its numbers stay in the file. */
export class PickledArray {
  shape: readonly number[] = [];
  dtype: PickledDType | null = null;
  bytes: PickledBytes | null = null;
  fortran = false;
}

export class PickledMap {
  readonly entries: [PickledValue, PickledValue][] = [];
}

/** One of the few names that a pickle may call. */
export class PickledName {
  constructor(readonly name: AllowedName) {}
}

export type AllowedName = 'reconstruct' | 'ndarray' | 'dtype' | 'encode' | 'OrderedDict' | 'tuple';

export type PickledValue =
  | null
  | boolean
  | number
  | string
  | PickledValue[]
  | PickledBytes
  | PickledDType
  | PickledArray
  | PickledMap
  | PickledName;

/** Everything else could run code, and is refused. */
export const ALLOWED_NAMES: Readonly<Record<string, AllowedName>> = {
  'numpy.core.multiarray._reconstruct': 'reconstruct',
  'numpy._core.multiarray._reconstruct': 'reconstruct',
  'numpy.ndarray': 'ndarray',
  'numpy.dtype': 'dtype',
  '_codecs.encode': 'encode',
  'collections.OrderedDict': 'OrderedDict',
  'builtins.tuple': 'tuple',
  '__builtin__.tuple': 'tuple',
};
