// Node.js 18 has it, and not where browsers have it and libraries look for it.
import { webcrypto } from 'node:crypto';

if (!('crypto' in globalThis)) Object.assign(globalThis, { crypto: webcrypto });
