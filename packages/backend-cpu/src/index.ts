export type { Isa } from './addon.js';
export type { CpuBackend } from './backend.js';
export { CpuBackendUnavailableError } from './errors.js';
export { availableIsas, type CpuOptions, cpuBackend, defaultBackend, loadCpuBackend } from './load.js';
export type { Peaks } from './peaks.js';
