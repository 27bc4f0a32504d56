export { CudaBackend } from './backend.js';
export { type CapabilityFacts, factsOfCapability, oldestCapability } from './capability.js';
export { CudaBackendUnavailableError, DeviceLostError, DeviceMemoryError } from './errors.js';
export { findGpus, type Gpu } from './gpu.js';
export { type CudaInstallation, describeInstallation, findInstallation } from './installation.js';
export { type CudaOptions, cudaBackend, loadCudaBackend } from './load.js';
export { locateBinding, type Prepared, preparedFolder } from './locate.js';
export { type PrepareOptions, prepareTensorFlow } from './prepare.js';
