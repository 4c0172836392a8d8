import { createRoute, z } from '@hono/zod-openapi';
import { integerParam } from '../request-input.js';
import { commonProblems, problem } from './problem.js';

const MAX_PAGE = 200;

const fileSchema = z
  .object({
    file_id: z.string().openapi({ description: 'For `inputs` of a job. The SHA-256 of its bytes, in hex.' }),
    sha256: z.string(),
    bytes: z.number().int(),
    name: z.string().nullable(),
    created_at: z.string().openapi({ format: 'date-time' }),
  })
  .openapi('File');

const params = z.object({ id: z.string().openapi({ description: 'The SHA-256 of the bytes, in hex.' }) });
const nameQuery = z.strictObject({ name: z.string().optional().openapi({ description: 'As X-File-Name.' }) });
const nameHeaders = z.object({
  'X-File-Name': z.string().optional().openapi({ description: 'For people; percent-encoded where it is not ASCII.' }),
});

const file = (description: string) => ({ description, content: { 'application/json': { schema: fileSchema } } });
const files = (description: string) => ({
  description,
  content: { 'application/json': { schema: z.object({ files: z.array(fileSchema) }) } },
});
const bytes = z.string().openapi({ format: 'binary' });
const body = { required: true, content: { 'application/octet-stream': { schema: bytes } } };
const missing = { 404: problem('There is no such file') };
const tooLarge = { 413: problem('It is larger than a file may be, or than what is left of your quota') };
const encoded = { 415: problem('The body has a Content-Encoding, or is no form where one is wanted') };

export const uploadRoute = createRoute({
  method: 'put',
  path: '/v1/files',
  summary: 'Upload a file: the body, of any type, is its bytes',
  request: { query: nameQuery, headers: nameHeaders, body },
  responses: {
    201: file('The file, durable'),
    200: file('You had these bytes already: the file that they are'),
    ...commonProblems,
    ...tooLarge,
    ...encoded,
  },
});

export const putRoute = createRoute({
  method: 'put',
  path: '/v1/files/{id}',
  summary: 'Upload a file whose SHA-256 is known: repeated, it costs nothing',
  request: { params, query: nameQuery, headers: nameHeaders, body },
  responses: {
    201: file('The file, durable'),
    200: file('You had it already, and need send no body'),
    ...commonProblems,
    ...tooLarge,
    ...encoded,
    422: problem('The bytes that came are others; nothing was kept'),
  },
});

export const formRoute = createRoute({
  method: 'post',
  path: '/v1/files',
  summary: 'Upload the files of a form; all of them or none',
  request: {
    body: {
      required: true,
      content: { 'multipart/form-data': { schema: z.object({ file: z.array(bytes) }) } },
    },
  },
  responses: {
    201: files('The files, in the order of the form'),
    200: files('You had all of them already'),
    ...commonProblems,
    ...tooLarge,
    ...encoded,
  },
});

export const listRoute = createRoute({
  method: 'get',
  path: '/v1/files',
  summary: 'List your files, newest first',
  request: {
    query: z.strictObject({
      limit: integerParam({ min: 1, max: MAX_PAGE }, { default: 50 }).default(50),
      cursor: z.string().max(256).optional(),
    }),
  },
  responses: {
    200: {
      description: 'A page',
      content: {
        'application/json': { schema: z.object({ files: z.array(fileSchema), next_cursor: z.string().nullable() }) },
      },
    },
    ...commonProblems,
  },
});

export const readRoute = createRoute({
  method: 'get',
  path: '/v1/files/{id}',
  summary: 'What is known of a file',
  request: { params },
  responses: { 200: file('The file'), ...commonProblems, ...missing },
});

export const contentRoute = createRoute({
  method: 'get',
  path: '/v1/files/{id}/content',
  summary: 'The bytes of a file, or a range of them',
  request: { params, headers: z.object({ Range: z.string().optional(), 'If-None-Match': z.string().optional() }) },
  responses: {
    200: { description: 'All of it', content: { 'application/octet-stream': { schema: bytes } } },
    206: { description: 'The range', content: { 'application/octet-stream': { schema: bytes } } },
    304: { description: 'You have it: the ETag is its SHA-256' },
    ...commonProblems,
    ...missing,
    410: problem('Its bytes are lost'),
    416: problem('There is nothing in this range'),
  },
});

export const removeRoute = createRoute({
  method: 'delete',
  path: '/v1/files/{id}',
  summary: 'Delete a file',
  request: { params },
  responses: {
    204: { description: 'It is gone' },
    ...commonProblems,
    ...missing,
    409: problem('A job that has not ended needs it'),
  },
});
