export { logitDistillation } from './logits.js';
