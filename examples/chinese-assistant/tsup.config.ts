export { packageBuild as default } from '../../scripts/tsup-config.js';
