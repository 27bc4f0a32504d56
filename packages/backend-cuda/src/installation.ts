import { factsOfCapability } from './capability.js';
import { findGpus, type Gpu } from './gpu.js';
import { locateBinding, type Prepared } from './locate.js';

/** What there is of all that the backend needs, found without loading TensorFlow. */
export interface CudaInstallation {
  readonly gpus: readonly Gpu[];
  /** Why there are none; empty where there are. */
  readonly whyNoGpu: string;
  /** The compiled binding that will be loaded. */
  readonly binding: string | null;
  /** The TensorFlow that it was compiled against; null for a binding that came otherwise. */
  readonly prepared: Prepared | null;
}

export function findInstallation(): CudaInstallation {
  const { gpus, why } = findGpus();
  const located = locateBinding();
  return {
    gpus,
    whyNoGpu: why,
    binding: located?.binding ?? null,
    prepared: located?.prepared ?? null,
  };
}

/** The same for people, one fact a line. */
export function describeInstallation({ gpus, whyNoGpu, binding, prepared }: CudaInstallation): string[] {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const devices = gpus.map(({ name, driver, capability, memoryBytes, freeBytes }) => {
    const memory = `${gigabytes(freeBytes)} of ${gigabytes(memoryBytes)} free`;
    const types = factsOfCapability(capability)?.why ?? "too old for TensorFlow's kernels";
    return `${name}: driver ${driver}, ${memory}, compute capability ${capability} (${types})`;
  });
  const builtFor = prepared?.cuda ? `CUDA ${prepared.cuda}, cuDNN ${prepared.cudnn}` : 'the processor only';
  const library = prepared
    ? `TensorFlow ${prepared.tensorflow}, built for ${builtFor}, in ${prepared.folder}`
    : binding
      ? 'a TensorFlow of unknown version'
      : 'TensorFlow is not prepared: `frugal doctor --fix cuda` does it';
  return [
    ...(devices.length > 0 ? devices : [whyNoGpu]),
    library,
    ...(binding ? [`binding: ${binding}`] : []),
  ];
}
