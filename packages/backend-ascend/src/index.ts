export { AscendBackend } from './backend.js';
export { AscendDeviceError, AscendMemoryError, AscendUnavailableError } from './errors.js';
export { type HcclCollective, hcclCollective } from './hccl/collective.js';
export { candidateFolders, findInstallation, type Installation } from './installation.js';
export { type AscendOptions, ascendBackend } from './load.js';
