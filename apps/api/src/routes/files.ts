import { Readable } from 'node:stream';
import { AppError } from '@berth/domain';
import { FileMissing, type FileStore, type Upload, type Uploads } from '@berth/store';
import type { HttpBindings } from '@hono/node-server';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { answerFile } from '../artifacts/answer-file.js';
import { readPrincipal } from '../auth.js';
import type { Streams } from '../byte-stream.js';
import { parseFileCursor, toFileCursor } from '../list-cursor.js';
import { refuseBody } from '../request-body.js';
import { contentRoute, formRoute, listRoute, putRoute, readRoute, removeRoute, uploadRoute } from '../schemas/file.js';
import { readLength, readUpload, skipUpload } from '../upload-body.js';
import { FILE_NAME_RULE, isFileName, type TakenUpload, toMismatch, type UploadIntake } from '../uploads.js';

interface FileRoutesOptions {
  files: FileStore;
  uploads: Uploads;
  intake: UploadIntake;
  streams: Streams;
}

const FILE_ID = /^[0-9a-f]{64}$/;
const LOST = 'The bytes of this file are lost. Upload the same bytes again: then it is whole.';

const toAnswer = ({ file_id, bytes, name, created_at }: Upload) => ({
  file_id,
  sha256: file_id,
  bytes,
  name,
  created_at: new Date(created_at).toISOString(),
});

/** Of the query or a header, where other characters than ASCII are percent-encoded. */
const readName = (c: Context, asked: string | undefined): string | null => {
  let name = asked ?? c.req.header('x-file-name');
  if (name === undefined) return null;
  try {
    if (asked === undefined) name = decodeURIComponent(name);
  } catch {
    name = '';
  }
  if (isFileName(name)) return name;
  throw new AppError('invalid_request', `The name of the file must be ${FILE_NAME_RULE}.`, {
    problems: [{ path: asked === undefined ? 'header.X-File-Name' : 'query.name', message: 'is not valid' }],
  });
};

const readFileId = (c: Context): string | undefined => {
  const id = (c.req.param('id') ?? '').toLowerCase();
  return FILE_ID.test(id) ? id : undefined;
};

const withLocation = (c: Context, { upload, known }: TakenUpload) =>
  known ? c.json(toAnswer(upload), 200) : c.json(toAnswer(upload), 201, { Location: `/v1/files/${upload.file_id}` });

const openForm = (c: Context) => ({
  headers: c.req.header(),
  body: Readable.from(readUpload(c), { objectMode: false, highWaterMark: 256 * 1024 }),
});

const createFind =
  ({ uploads }: Pick<FileRoutesOptions, 'uploads'>) =>
  async (c: Context): Promise<Upload> => {
    const id = readFileId(c);
    const found = id && (await uploads.read(readPrincipal(c).user, id));
    if (!found) throw new AppError('not_found', 'There is no such file.');
    return found;
  };

const addUploadRoutes = (app: OpenAPIHono, { intake }: FileRoutesOptions): void => {
  const take = async (c: Context, asked: string | undefined, file_id?: string) => {
    const { user } = readPrincipal(c);
    const name = readName(c, asked);
    return withLocation(c, await intake.take({ user, name, source: readUpload(c), bytes: readLength(c), file_id }));
  };

  addRoute(app, uploadRoute, (c, { name }) => take(c, name));

  addRoute(app, putRoute, async (c, { name }) => {
    const file_id = readFileId(c);
    if (!file_id) throw new AppError('invalid_request', 'The path must end with the SHA-256 of the file, in hex.');
    const { user } = readPrincipal(c);
    const known = await intake.findKnown(user, file_id);
    if (known) {
      const came = await skipUpload(c, known.bytes);
      if (came !== undefined && came !== file_id) throw toMismatch(came);
      return c.json(toAnswer(known), 200);
    }
    return take(c, name, file_id);
  });

  addRoute(app, formRoute, async (c) => {
    const { incoming } = c.env as HttpBindings;
    if (!/^multipart\/form-data\s*;/i.test(incoming.headers['content-type'] ?? '')) {
      throw new AppError('unsupported_media_type', 'Send a form as multipart/form-data, or the file itself with PUT.');
    }
    const taken = await intake.takeForm(readPrincipal(c).user, openForm(c));
    return c.json(
      { files: taken.map(({ upload }) => toAnswer(upload)) },
      taken.every(({ known }) => known) ? 200 : 201,
    );
  });
};

/** What a user puts in for jobs. Files are a user's own, also from operators: their ids are known to whoever has the bytes. */
export const addFileRoutes = (app: OpenAPIHono, options: FileRoutesOptions): void => {
  const { files, uploads, intake, streams } = options;
  const find = createFind(options);
  addUploadRoutes(app, options);

  addRoute(app, listRoute, async (c, { limit, cursor }) => {
    const after = cursor === undefined ? undefined : parseFileCursor(cursor);
    const page = await uploads.list(readPrincipal(c).user, limit, after);
    const next_cursor = page.next === null ? null : toFileCursor(page.next);
    return c.json({ files: page.uploads.map(toAnswer), next_cursor }, 200);
  });

  addRoute(app, readRoute, async (c) => c.json(toAnswer(await find(c)), 200));

  addRoute(app, contentRoute, async (c) => {
    const { object, file_id, bytes, name, created_at } = await find(c);
    const file = { path: name ?? file_id, bytes, sha256: file_id, offset: 0, mode: 0, changed_at: created_at };
    const open = (slice: { start: number; end: number }) =>
      files.read(object, slice).catch((error) => {
        throw error instanceof FileMissing ? new AppError('gone', LOST) : error;
      });
    return (await answerFile(c, file, { streams, open })) as never;
  });

  addRoute(app, removeRoute, async (c) => {
    await refuseBody(c);
    if (!(await intake.remove(await find(c)))) {
      throw new AppError('file_in_use', 'A job that has not ended needs this file. Cancel it or wait for its end.');
    }
    return c.body(null, 204) as never;
  });
};
