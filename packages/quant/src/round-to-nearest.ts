import {
  type Edit,
  type Modifier,
  type ModifierFactory,
  type ModifierSpec,
  RecipeError,
  type Site,
} from '@frugal/compress';
import { noGrad, PackedTensor, scope } from '@frugal/tensor-core';
import { packedByteLength } from '@frugal/tensor-core/formats';
import { type LinearLike, PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';

const optionsSchema = z.strictObject({
  type: z.literal('quant.rtn'),
  targets: z.unknown(),
  /** A packed format, see `@frugal/tensor-core/formats`. */
  format: z.string(),
  /** Activations quantised as well (per token, or per 32 columns of a token), so that products run on integers. */
  activation: z.enum(['none', 'int8', 'int8-block32']).default('none'),
});

/** Round-to-nearest: each weight becomes the closest value of a packed format. Needs no data. */
export const roundToNearest: ModifierFactory = {
  type: 'quant.rtn',
  create(spec: ModifierSpec): Modifier {
    const parsed = optionsSchema.safeParse(spec);
    if (!parsed.success)
      throw new RecipeError({ where: 'quant.rtn', what: 'bad options', got: z.prettifyError(parsed.error) });
    const { format, activation } = parsed.data;
    return {
      spec,
      sites: ['linear'],
      needs: {},
      plan(sites) {
        const problems: string[] = [];
        const planned = linearSites(sites).map(({ path, layer }) => {
          const bytesBefore = layer.weightBytes;
          if (layer instanceof PackedLinear)
            problems.push(`${path} is packed already (${layer.weight.format})`);
          return { path, bytesBefore, bytesAfter: bytesAs(format, layer, path, problems) ?? bytesBefore };
        });
        return { sites: planned, problems };
      },
      async apply(site): Promise<Edit[]> {
        if (site.kind !== 'linear') return [];
        if (site.layer.base instanceof PackedLinear) throw alreadyPacked(site.path);
        const packed = await packLayer(site.layer, format);
        const linear = new PackedLinear(packed, {
          bias: site.layer.bias,
          activation: activation === 'none' ? null : activation,
        });
        const shared = site.sharedWith.map((path) => ({ path, module: new PackedEmbedding(packed) }));
        return [{ path: site.path, module: linear }, ...shared];
      },
      async invariant(site) {
        if (site.kind !== 'linear') return null;
        const { base } = site.layer;
        return base instanceof PackedLinear && base.weight.format === format
          ? null
          : 'the layer is no longer packed';
      },
    };
  },
};

/** An earlier stage may have packed what `plan` still saw as dense: rounding twice would add errors unnoticed. */
function alreadyPacked(path: string): RecipeError {
  return new RecipeError({
    where: 'quant.rtn',
    what: 'the layer is packed already',
    got: path,
    hint: 'Exclude it, or leave out the earlier stage.',
  });
}

function linearSites(sites: readonly Site[]) {
  return sites.filter((site) => site.kind === 'linear');
}

function bytesAs(format: string, layer: LinearLike, path: string, problems: string[]): number | null {
  try {
    return packedByteLength(format, layer.outFeatures, layer.inFeatures);
  } catch (error) {
    problems.push(`${path}: ${(error as Error).message}`);
    return null;
  }
}

async function packLayer(layer: LinearLike, format: string): Promise<PackedTensor> {
  const weight = scope(() => noGrad(() => layer.effectiveWeight().contiguous()));
  const values = await weight.toFloat32();
  const packed = PackedTensor.pack(format, values, [layer.outFeatures, layer.inFeatures], weight.backend);
  weight.dispose();
  return packed;
}
