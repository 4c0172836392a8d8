import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url).pathname;
const BIOME = `${ROOT}node_modules/.bin/biome`;

interface Finding {
  category: string;
  severity: string;
  location: { path: string };
}

/** Puts files for a while where the rules must see them, runs the linter once, and says what it calls an error in each. */
const lint = async (files: Record<string, string>): Promise<{ failed: boolean; rules: Record<string, string[]> }> => {
  const paths = Object.keys(files);
  for (const path of paths) writeFileSync(ROOT + path, files[path] ?? '');
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', ...paths];
  const { failed, stdout } = await new Promise<{ failed: boolean; stdout: string }>((resolve) =>
    execFile(BIOME, args, { cwd: ROOT }, (error, out) => resolve({ failed: error !== null, stdout: out })),
  );
  for (const path of paths) rmSync(ROOT + path);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Finding[] };
  const errors = diagnostics.filter((finding) => finding.severity === 'error');
  const rulesOf = (path: string) =>
    errors
      .filter((finding) => finding.location.path.endsWith(path))
      .map((finding) => finding.category.split('/').at(-1));
  return { failed, rules: Object.fromEntries(paths.map((path) => [path, rulesOf(path) as string[]])) };
};

const using = (name: string) => `import * as other from '${name}';\nexport const probe = other;\n`;
const probe = (folder: string, name: string) => `${folder}/src/lint-probe-${process.pid}-${name}.ts`;

/** What must not be written, and the rule that refuses it. */
const BROKEN: [what: string, folder: string, source: string, rule: string][] = [
  ['domain reads files', 'libs/domain', using('node:fs'), 'noRestrictedImports'],
  ['domain knows Redis', 'libs/domain', using('ioredis'), 'noRestrictedImports'],
  ['domain knows the store', 'libs/domain', using('@berth/store'), 'noRestrictedImports'],
  ['domain has a clock', 'libs/domain', 'export const probe = Date.now();\n', 'noRestrictedGlobals'],
  ['domain has timers', 'libs/domain', 'export const probe = () => setTimeout(() => {}, 1);\n', 'noRestrictedGlobals'],
  ['store knows the queue', 'libs/store', using('@berth/queue'), 'noRestrictedImports'],
  ['queue knows the store', 'libs/queue', using('@berth/store'), 'noRestrictedImports'],
  ['metrics knows the store', 'libs/metrics', using('@berth/store'), 'noRestrictedImports'],
  ['metrics knows the domain', 'libs/metrics', using('@berth/domain'), 'noUndeclaredDependencies'],
  ['store knows the history', 'libs/store', using('@berth/history'), 'noRestrictedImports'],
  ['history knows the queue', 'libs/history', using('@berth/queue'), 'noRestrictedImports'],
  ['store knows an app', 'libs/store', using('@berth/worker'), 'noRestrictedImports'],
  ['an app knows an app', 'apps/api', using('@berth/worker'), 'noRestrictedImports'],
  ['environment outside config.ts', 'apps/api', 'export const probe = process.env.HOME;\n', 'noProcessEnv'],
];

const ALLOWED: [what: string, folder: string, source: string][] = [
  ['domain uses zod', 'libs/domain', using('zod')],
  ['store knows the domain', 'libs/store', using('@berth/domain')],
  ['queue knows the domain', 'libs/queue', using('@berth/domain')],
  ['api knows store and queue', 'apps/api', `${using('@berth/store')}export * from '@berth/queue';\n`],
];

const importing = (path: string, name: string, other: string) =>
  `import { ${other} } from './${path.split('/').at(-1)?.replace('.ts', '.js')}';\nexport const ${name} = () => ${other};\n`;

describe('the import rules', () => {
  const broken = BROKEN.map(([what, folder, source, rule], i) => ({ what, path: probe(folder, `${i}`), source, rule }));
  const [a, b] = [probe('libs/domain', 'a'), probe('libs/domain', 'b')];
  const cycle = [
    { path: a, source: importing(b, 'one', 'two') },
    { path: b, source: importing(a, 'two', 'one') },
  ];
  const allowed = ALLOWED.map(([what, folder, source], i) => ({ what, path: probe(folder, `ok-${i}`), source }));
  let linted: Awaited<ReturnType<typeof lint>>;
  // All at once: each run of the linter reads the whole project.
  beforeAll(async () => {
    const all = [...broken, ...cycle, ...allowed];
    linted = await lint(Object.fromEntries(all.map(({ path, source }) => [path, source])));
  });

  it('fail the linter where they are broken', () => {
    expect(linted.failed).toBe(true);
    for (const { what, path, rule } of broken)
      expect([what, linted.rules[path]]).toEqual([what, expect.arrayContaining([rule])]);
  });

  it('fail it for a cycle', () => {
    expect([linted.rules[a], linted.rules[b]]).toEqual([['noImportCycles'], ['noImportCycles']]);
  });

  it('let through what follows them', () => {
    expect(allowed.map(({ what, path }) => [what, linted.rules[path]])).toEqual(ALLOWED.map(([what]) => [what, []]));
  });
});
