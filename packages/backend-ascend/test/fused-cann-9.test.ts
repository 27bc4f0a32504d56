import { useLayout } from './ascend.js';
import { describeFused } from './describe-fused.js';

useLayout('cann-9');

// The newest version of each op.
describeFused(([newest]) => newest);
