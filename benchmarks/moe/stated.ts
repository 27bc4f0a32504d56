/** The fixed configuration of models of experts, by the name of its size; models.ts says why. */
export const STATED = '1.7 B';
