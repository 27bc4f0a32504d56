/** A processor with its memory. */
export interface Device {
  readonly name: string;
  readonly memoryBytes: number;
  /** Bytes per second that all threads read from memory together. */
  readonly readBytesPerSecond: number;
  /** Operations per second, a multiply-add counting two. */
  readonly operationsPerSecond: Readonly<Record<ComputeKind, number>>;
}

/** What products are computed in. */
export type ComputeKind = 'f32' | 'bf16' | 'int8';

/** A machine: its devices, and what an hour of it costs. */
export interface Machine {
  readonly name: string;
  readonly devices: readonly Device[];
  readonly pricePerHour: number;
}

/** What serving a model needs, whatever its format. */
export interface ModelShape {
  readonly parameters: number;
  /** Weights that take part in the products of one token: embeddings do not, and of routed experts only the chosen ones. */
  readonly activeParameters: number;
  readonly layers: number;
  /** Numbers kept per token and layer, and the window after which a layer forgets; one entry per layer. */
  readonly cache: readonly { readonly width: number; readonly window: number | null }[];
  /** Query heads · head size, per layer on average: what attention multiplies with every key and value. */
  readonly attentionWidth: number;
}

/** The model in one format. */
export interface Footprint {
  readonly recipe: string;
  /** Of all weights. */
  readonly bytes: number;
  /** That one token reads. */
  readonly activeBytes: number;
  readonly compute: ComputeKind;
  readonly cacheBytesPerNumber: number;
}

export interface Load {
  /** Tokens of context per stream. */
  readonly context: number;
  readonly streams: number;
}

export interface Deployment {
  readonly recipe: string;
  readonly weightBytes: number;
  readonly cacheBytes: number;
  /** Weights, cache and what the program itself takes. */
  readonly memoryBytes: number;
  readonly fits: boolean;
  /** How many layers each device holds, in the order of the machine's devices. */
  readonly layersByDevice: readonly number[];
  /** Of one stream, and of all streams together. */
  readonly decodeTokensPerSecond: number;
  readonly decodeTokensPerSecondInAll: number;
  readonly prefillTokensPerSecond: number;
  /** Per million new tokens, all streams busy. */
  readonly costPerMillionTokens: number;
}

/** The program without a model: runtime, code, scratch. */
const PROGRAM_BYTES = 160e6;
/**
 * Shares of the peaks that whole models reach, and what a layer costs beside reading: see docs/log.md for the measurements
 * on which they stand, and `npm run bench -- plan` for how far predictions are off on a machine.
 */
const READ_SHARE = 0.6;
const COMPUTE_SHARE: Readonly<Record<ComputeKind, number>> = { f32: 0.7, bf16: 0.7, int8: 0.32 };
const SECONDS_PER_LAYER = 25e-6;

/**
 * What a machine would do with a model: a roofline. A decoded token reads the active weights once for all streams and each
 * stream's cache at half its length; products take their operations. Layers go to the devices in order of bandwidth, until
 * the memory of each is full; a token passes through all devices one after another.
 */
export function predictDeployment(
  shape: ModelShape,
  footprint: Footprint,
  machine: Machine,
  { context, streams }: Load,
): Deployment {
  const cacheBytes = streams * cacheBytesOf(shape, footprint, context);
  const { layersByDevice, fits } = placeLayers(shape, footprint.bytes + cacheBytes, machine);
  const shares = layersByDevice.map((layers) => layers / shape.layers);
  const decodeSeconds = sumOf(machine.devices, (device, i) =>
    shares[i] === 0 ? 0 : shares[i] * stepSeconds(shape, footprint, device, { context, streams }),
  );
  const prefillSeconds = sumOf(machine.devices, (device, i) =>
    shares[i] === 0 ? 0 : shares[i] * prefillSecondsPerToken(shape, footprint, device, context),
  );
  const inAll = streams / decodeSeconds;
  return {
    recipe: footprint.recipe,
    weightBytes: footprint.bytes,
    cacheBytes,
    memoryBytes: footprint.bytes + cacheBytes + PROGRAM_BYTES,
    fits,
    layersByDevice,
    decodeTokensPerSecond: 1 / decodeSeconds,
    decodeTokensPerSecondInAll: inAll,
    prefillTokensPerSecond: 1 / prefillSeconds,
    costPerMillionTokens: (machine.pricePerHour / 3600 / inAll) * 1e6,
  };
}

/** Bytes that one stream keeps when its context is full. */
export function cacheBytesOf(
  { cache }: Pick<ModelShape, 'cache'>,
  { cacheBytesPerNumber }: Pick<Footprint, 'cacheBytesPerNumber'>,
  context: number,
): number {
  return (
    cacheBytesPerNumber * sumOf(cache, ({ width, window }) => width * Math.min(context, window ?? context))
  );
}

function placeLayers({ layers }: ModelShape, bytes: number, { devices }: Machine) {
  const perLayer = bytes / layers;
  const order = devices
    .map((_, i) => i)
    .sort((a, b) => devices[b].readBytesPerSecond - devices[a].readBytesPerSecond);
  const layersByDevice = devices.map(() => 0);
  let left = layers;
  for (const index of order) {
    const room = Math.max(0, devices[index].memoryBytes - PROGRAM_BYTES);
    layersByDevice[index] = Math.min(left, Math.floor(room / perLayer));
    left -= layersByDevice[index];
  }
  const fits = left === 0;
  if (!fits) layersByDevice[order[order.length - 1]] += left; // to say how fast it would be
  return { layersByDevice, fits };
}

/** One decoding step of the whole model on one device. */
function stepSeconds(
  shape: ModelShape,
  footprint: Footprint,
  device: Device,
  { context, streams }: Load,
): number {
  const read = footprint.activeBytes + (streams * cacheBytesOf(shape, footprint, context)) / 2;
  const reading = read / (device.readBytesPerSecond * READ_SHARE);
  const computing = (2 * shape.activeParameters * streams) / speedOf(device, footprint.compute);
  return Math.max(reading, computing) + shape.layers * SECONDS_PER_LAYER;
}

function prefillSecondsPerToken(
  shape: ModelShape,
  { compute }: Footprint,
  device: Device,
  context: number,
): number {
  const products = (2 * shape.activeParameters) / speedOf(device, compute);
  // Causal: a token sees half of the context on average; scores and mixing, in f32.
  const attention = (2 * shape.attentionWidth * context * shape.layers) / speedOf(device, 'f32');
  return products + attention;
}

function speedOf(device: Device, compute: ComputeKind): number {
  return device.operationsPerSecond[compute] * COMPUTE_SHARE[compute];
}

function sumOf<T>(items: readonly T[], value: (item: T, index: number) => number): number {
  return items.reduce((sum, item, i) => sum + value(item, i), 0);
}
