import { readFileSync } from 'node:fs';

/** The version of this build, as the package says it. */
export const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
