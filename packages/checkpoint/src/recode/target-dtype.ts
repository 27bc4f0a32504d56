import { byteLengthOf, type DType, isPlainDType } from '../dtypes.js';
import { tensorTypeOf } from '../gguf/types.js';

/** Where rows are not whole super-blocks of 256, llama.cpp takes the next better format with blocks of 32. */
const SMALLER_BLOCKS: Partial<Record<DType, DType>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** Tensors whose rounding costs more than it saves: routers, norms, anything with one axis. */
const KEPT = /norm|ffn_gate_inp|\.gate\.weight$|router|rope_freqs|_scale|\.bias$/;

/** Embeddings and heads get more bits than the rest: every token passes them. */
const OUTER = /(^|\.)(token_embd|output|embed_tokens|lm_head)\.weight$/;

/** What a tensor is converted for: GGUF readers want F32 where there is one axis, safetensors hold no blocks. */
export interface Target {
  readonly container: 'gguf' | 'safetensors';
  /** The dtype asked for; undefined: as it is. */
  readonly wanted: DType | undefined;
}

/**
 * The dtype that a tensor is written in: the wanted one for matrices, F32 for what is kept exact, a better one for
 * embedding and head where `wanted` has fewer than 5 bits. `stored` is null for matrices that are packed in a way that
 * only values can be had of.
 */
export function targetDType(
  name: string,
  shape: readonly number[],
  stored: DType | null,
  { container, wanted }: Target,
): DType {
  if (stored !== null && isPlainDType(stored) && !isFloat(stored)) return stored; // indices, masks
  if (container === 'gguf' && shape.length < 2) return 'F32';
  if (wanted === undefined) return keptDType(stored, container);
  if (isPlainDType(wanted)) return wanted;
  if (shape.length < 2 || KEPT.test(name)) return 'F32';
  const outer = OUTER.test(name) && /^Q[2345]_/.test(wanted) ? 'Q6_K' : wanted;
  for (const candidate of [outer, SMALLER_BLOCKS[outer], SMALLER_BLOCKS[wanted]]) {
    if (candidate && byteLengthOf(candidate, shape) !== undefined) return candidate;
  }
  return 'F16';
}

/** As it is, where the container can hold it; else F32, which loses nothing. */
function keptDType(stored: DType | null, container: Target['container']): DType {
  if (stored === null) return 'F32';
  const fits = container === 'gguf' ? tensorTypeOf(stored) !== undefined : isPlainDType(stored);
  return fits && stored !== 'F64' ? stored : 'F32';
}

function isFloat(dtype: DType): boolean {
  return /^(B?F16|F32|F64|F8_)/.test(dtype);
}
