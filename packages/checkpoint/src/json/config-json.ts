import { formatJson } from './json.js';

/** Fields that transformers declares as float: since version 5 it refuses a config.json that says 30 where it wants 30.0. */
const floatFields: ReadonlySet<string> = new Set([
  ...['initializer_range', 'initializer_factor', 'rms_norm_eps', 'layer_norm_eps', 'norm_eps'],
  ...['layer_norm_epsilon', 'rope_theta', 'rope_local_base_freq', 'partial_rotary_factor'],
  ...['attn_logit_softcapping', 'final_logit_softcapping', 'routed_scaling_factor'],
  ...['router_aux_loss_coef', 'router_z_loss_coef', 'router_jitter_noise'],
  ...['attention_dropout', 'hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout'],
]);

/** A config.json as Python writes it: JavaScript does not tell 30.0 from 30, other readers do. */
export function formatConfig(config: object): string {
  return formatJson(config, floatFields);
}
