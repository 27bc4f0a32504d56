import type { Edit } from '@frugal/compress';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import type { CouplingMember, Linear, Module, Parameter } from '@frugal/tensor-core/nn';
import { entriesOf } from '../maths/units.js';

/** The edit that leaves the entries of the kept units along a member's axis: of a linear layer, an embedding or a norm. */
export function cut(member: CouplingMember, layer: Module, kept: readonly number[]): Edit[] {
  const { weight, bias = null } = layer as Linear;
  const indices = entriesOf(kept, member.entriesPerUnit);
  const values: Record<string, Tensor> = { weight: select(weight, indices, member.axis === 'rows' ? 0 : 1) };
  if (bias && member.axis === 'rows') values.bias = select(bias, indices, 0);
  return [{ path: member.path, values }];
}

function select({ value }: Parameter, indices: Int32Array, axis: 0 | 1): Tensor {
  return scope(() =>
    noGrad(() => {
      const chosen = tensor(indices, { backend: value.backend });
      if (value.rank === 1) return value.reshape(-1, 1).gatherRows(chosen).reshape(-1);
      if (axis === 0) return value.gatherRows(chosen);
      return value.transpose().contiguous().gatherRows(chosen).transpose().contiguous();
    }),
  );
}
