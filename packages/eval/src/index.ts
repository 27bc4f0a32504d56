export { type DecodeProfile, type DecodeProfileOptions, profileDecode } from './decode-profile.js';
export {
  type BootstrapOptions,
  type PairedDifference,
  type PairedScore,
  pairedBootstrap,
} from './paired-bootstrap.js';
export { countParameters } from './parameters.js';
export { type Perplexity, type PerplexityOptions, perplexity, tokenLoss } from './perplexity.js';
export { perplexityScore } from './perplexity-score.js';
export { measureSpeed, type Speed, type SpeedOptions, type Spread } from './speed.js';
