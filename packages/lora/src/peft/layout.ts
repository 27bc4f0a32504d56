export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';

/** PEFT wraps the model twice before it names what is inside. */
export const PREFIX = 'base_model.model.';

/** How the names of a layer's tensors end. */
export const parts = {
  down: '.lora_A.weight',
  up: '.lora_B.weight',
  magnitude: '.lora_magnitude_vector',
} as const;

export type Part = keyof typeof parts;
