export { AscendBackend } from './backend.js';
export { AscendDeviceError, AscendMemoryError, AscendUnavailableError } from './errors.js';
export { candidateFolders, findInstallation, type Installation } from './installation.js';
export { type AscendOptions, ascendBackend } from './load.js';
