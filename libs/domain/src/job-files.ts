import { z } from 'zod';
import { bytes, text } from './text.js';

const MAX_INPUTS = 1_000;
const MAX_OUTPUTS = 64;
const MAX_PATH_BYTES = 1_024;
const MAX_DEPTH = 64;
const MAX_NAME_BYTES = 255;

/** Where a job's files are: inputs are laid below it, outputs are looked for below it. */
export const WORKSPACE = '/workspace';

/** Whether it names something below a folder, in one way only: no empty part, no `.` or `..`, no control character. */
export const isRelativePath = (path: string): boolean =>
  path !== '' &&
  bytes(path) <= MAX_PATH_BYTES &&
  !/[\p{Cc}\p{Cs}\\]/u.test(path) &&
  path.split('/').length <= MAX_DEPTH &&
  path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && bytes(part) <= MAX_NAME_BYTES);

const relativePath = text.refine(
  isRelativePath,
  `must be a path below ${WORKSPACE} such as data/in.csv: relative, without . or .. or control characters`,
);

const pattern = text.refine(
  (glob) => isRelativePath(glob.replace(/\/$/, '')),
  `must be a pattern below ${WORKSPACE} such as out/** or *.csv: relative, without . or .. or control characters`,
);

export const fileIdSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be the file_id of an upload: 64 hexadecimal digits, as PUT /v1/files gave it');

export const inputsSchema = z
  .array(
    z.strictObject({
      file_id: fileIdSchema.describe('An upload of the same user.'),
      path: relativePath.describe(
        'Where it is put, below /workspace; with `extract`, the folder that it is unpacked into.',
      ),
      extract: z.boolean().optional().describe('Unpack it: tar, tar.gz or zip, told by its first bytes.'),
      mode: z.literal('executable').optional().describe('May be run as a program.'),
    }),
  )
  .max(MAX_INPUTS, `must name at most ${MAX_INPUTS} files`)
  .superRefine((inputs, context) => {
    const seen = new Set<string>();
    for (const [i, { path, extract }] of inputs.entries()) {
      if (!extract && seen.has(path)) {
        context.addIssue({ code: 'custom', path: [i, 'path'], message: 'is the path of another input too' });
      }
      seen.add(path);
    }
  });

export const outputsSchema = z.array(pattern).max(MAX_OUTPUTS, `must hold at most ${MAX_OUTPUTS} patterns`);

export type JobInput = z.output<typeof inputsSchema>[number];
