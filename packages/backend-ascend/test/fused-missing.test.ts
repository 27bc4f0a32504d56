import { useLayout } from './ascend.js';
import { describeFused } from './describe-fused.js';

useLayout('cann-plain');

// A CANN without fused ops: core composes all of them, by ops that every CANN has.
describeFused(() => null);
