import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOutputPatterns, PatternsTooCostly } from './output-patterns.js';

const matches = (pattern: string, path: string) => createOutputPatterns([pattern]).matches(path);

describe('output patterns', () => {
  it.each([
    ['*.csv', 'a.csv', true],
    ['*.csv', 'out/a.csv', false],
    ['*.csv', '.csv', true],
    ['**', 'a', true],
    ['**', '.hidden/x/y', true],
    ['out/**', 'out/a', true],
    ['out/**', 'out/a/b.txt', true],
    ['out/**', 'outer/a', false],
    ['out/', 'out/a/b', true],
    ['out', 'out', true],
    ['out', 'out/a', false],
    ['**/*.txt', 'a.txt', true],
    ['**/*.txt', 'a/b/c.txt', true],
    ['a/**/z', 'a/z', true],
    ['a/**/z', 'a/b/c/z', true],
    ['a/**/z', 'a/b/c/zz', false],
    ['run-[0-9]?.log', 'run-7x.log', true],
    ['run-[!0-9].log', 'run-7.log', false],
    ['[x', '[x', true],
    ['a*b*c', 'aXbXbc', true],
    ['a*b*c', 'aXbXbcd', false],
    ['*', 'a\n\u001b', true],
    ['ä?', 'ä€', true],
    ['*?😀*', 'x😀', true],
    ['*😀?', '😀', false],
    ['a*a', 'a', false],
    ['a*ab*b', 'aab', false],
    ['a/**/**/b/**', 'a/b/c/d', true],
  ])('%s matches %s: %s', (pattern, path, does) => {
    expect(matches(pattern, path)).toBe(does);
  });

  it('say where to look, each place once', () => {
    expect(createOutputPatterns(['out/**', 'out/a.txt', 'log/*.txt', 'log/*.csv', 'x/y.z']).places).toEqual([
      'log',
      'out',
      'x/y.z',
    ]);
    expect(createOutputPatterns(['*.csv', 'out/**']).places).toEqual(['']);
  });

  it('look where what they match is', () => {
    const part = fc.stringMatching(/^[ab*?]{1,4}$/);
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 4 }),
        fc.stringMatching(/^[ab](\/?[ab]){0,5}$/),
        (parts, path) => {
          const { matches: does, places } = createOutputPatterns([parts.join('/')]);
          if (does(path)) expect(places.some((p) => p === '' || path === p || path.startsWith(`${p}/`))).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ['has all but its end', `${'*a'.repeat(100)}*b`, 'a'.repeat(250)],
    ['has its end in front', `${'*a'.repeat(100)}*b*`, `b${'a'.repeat(249)}`],
    ['has it but for a place', `${'*a?'.repeat(80)}*b*`, `b${'a'.repeat(249)}`],
    ['may begin anywhere', `*${'a?'.repeat(50)}?b*c*`, `c${'a'.repeat(248)}b`],
  ])(
    'take no more steps than the product of their lengths, in however many patterns, where a name %s',
    (_, part, name) => {
      const path = Array.from({ length: 20 }, () => name).join('/');
      const steps = { count: 0 };
      const begins = ['**', Array(30).fill('**').join('/'), '*/**', '?*/**'];
      const all = begins.map((begin) => `${begin}/${part}`);
      expect(createOutputPatterns(all, steps).matches(path)).toBe(false);
      expect(steps.count).toBeLessThan(part.length * path.length);
    },
  );

  it('match what the plain rule says, path after path', () => {
    const toRule = (pattern: string) =>
      new RegExp(`^${pattern.replaceAll('*', '[^/]*').replaceAll('?', '[^/]')}$`.replaceAll('[^/]*[^/]*/', '(.+/)?'));
    const path = fc.stringMatching(/^[ab]{1,6}(\/[ab]{1,6}){0,3}$/);
    const part = fc.oneof(fc.stringMatching(/^([ab?]|\*[ab?]){1,5}\*?$/), fc.constant('**'));
    const pattern = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `${parts.join('/')}/*`);
    fc.assert(
      fc.property(
        fc.array(pattern, { minLength: 1, maxLength: 3 }),
        fc.array(path, { minLength: 1, maxLength: 8 }),
        (all, paths) => {
          const { matches: does } = createOutputPatterns(all);
          for (const one of paths) expect(does(one)).toBe(all.some((text) => toRule(text).test(one)));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('take little for what is like a name but for its end, from its middle too', { timeout: 60_000 }, () => {
    const alike = ['*', '*?', '?*'].flatMap((begin) =>
      Array.from({ length: 20 }, (_, i) => `${begin}${'a'.repeat(118)}b${i}*`),
    );
    const { matches: does } = createOutputPatterns(alike);
    for (let i = 0; i < 8_000; i += 1) expect(does(`${'a'.repeat(236)}${i}`)).toBe(false);
  });

  it('are given up where all names together take too much', { timeout: 60_000 }, () => {
    const costly = Array.from({ length: 64 }, (_, i) => `*${'?a'.repeat(50)}?b[${i}]*`);
    const { matches: does } = createOutputPatterns(costly);
    const all = () => {
      for (let i = 0; i < 8_000; i += 1) does(`${'a'.repeat(236)}b`);
    };
    expect(all).toThrow(PatternsTooCostly);
    expect(() => does('x')).toThrow(PatternsTooCostly);
  });
});
