import { AppError } from '@berth/domain';
import { type ArtifactFile, type JobRecord, toZip } from '@berth/store';
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { answerArchive } from '../artifacts/answer-archive.js';
import { answerFile } from '../artifacts/answer-file.js';
import type { ArtifactReader, FoundArtifacts } from '../artifacts/artifact-reader.js';
import { parseArtifactCursor, toArtifactCursor } from '../artifacts/artifact-set.js';
import { toTarGz } from '../artifacts/tar-gz.js';
import { readOwnJob } from '../auth.js';
import type { Streams } from '../byte-stream.js';
import type { Jobs } from '../jobs.js';
import {
  type ArtifactListAnswer,
  artifactListQuerySchema,
  artifactListSchema,
  artifactPathParams,
  artifactProblems,
  artifactQuerySchema,
  bytesOf,
} from '../schemas/artifact.js';
import { jobIdParams } from '../schemas/job.js';
import { problem } from '../schemas/problem.js';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/artifacts',
  summary: 'The files that a job left',
  request: { params: jobIdParams, query: artifactListQuerySchema },
  responses: {
    200: {
      description: 'The files; none while no attempt has ended that kept any',
      content: { 'application/json': { schema: artifactListSchema } },
    },
    ...artifactProblems,
  },
});

const fileRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/artifacts/{path}',
  summary: 'One file that a job left, or a range of it',
  request: { params: artifactPathParams, query: artifactQuerySchema },
  responses: {
    200: bytesOf('application/octet-stream', 'The file; its ETag is the SHA-256 of its bytes'),
    206: bytesOf('application/octet-stream', 'The one range that was asked for'),
    304: { description: 'It is what If-None-Match names' },
    ...artifactProblems,
    416: problem('The file has nothing in that range'),
  },
});

const archiveRoute = <E extends 'zip' | 'tar.gz'>(ending: E, type: string) =>
  createRoute({
    method: 'get',
    path: `/v1/jobs/{id}/artifacts.${ending}`,
    summary: `All files that a job left, as ${ending}`,
    request: { params: jobIdParams, query: artifactQuerySchema },
    responses: {
      200: bytesOf(type, 'The archive, made while it is sent. The connection breaks where it cannot be made whole'),
      ...artifactProblems,
    },
  });

const ARCHIVES = [
  { ending: 'zip', type: 'application/zip', toArchive: toZip },
  { ending: 'tar.gz', type: 'application/gzip', toArchive: toTarGz },
] as const;

interface ArtifactRoutesOptions {
  jobs: Jobs;
  artifacts: ArtifactReader;
  streams: Streams;
}

const toUrl = (job_id: string, path: string, query: string): string =>
  `/v1/jobs/${job_id}/artifacts/${path.split('/').map(encodeURIComponent).join('/')}?${query}`;

const toPage = (sorted: ArtifactFile[], after: string | undefined, limit: number): ArtifactFile[] => {
  const first = after === undefined ? 0 : sorted.findIndex(({ path }) => path > after);
  return first === -1 ? [] : sorted.slice(first, first + limit);
};

const NO_FILES = {
  attempt: null,
  epoch: null,
  partial: false,
  files: [],
  total_files: 0,
  total_bytes: 0,
  refused: 0,
  notes: [],
  next_cursor: null,
};

export const addArtifactRoutes = (app: OpenAPIHono, { jobs, artifacts, streams }: ArtifactRoutesOptions): void => {
  addRoute(app, listRoute, async (c, { limit, cursor, ...which }) => {
    const place = cursor === undefined ? undefined : parseArtifactCursor(cursor);
    const job = await readOwnJob(c, jobs);
    const found = await artifacts.find(job, { ...which, epoch: place?.epoch });
    if (!found) return c.json({ job_id: job.job_id, ...NO_FILES }, 200);
    return c.json(toListAnswer(job, found, toPage(found.listing.sorted, place?.after, limit)), 200);
  });

  const oneFile = { ...fileRoute, getRoutingPath: () => '/v1/jobs/:id/artifacts/:path{[\\s\\S]+}' as const };
  addRoute(app, oneFile as unknown as typeof fileRoute, async (c, which) => {
    const { listing, open } = await artifacts.require(await readOwnJob(c, jobs), which);
    const file = listing.find(c.req.param('path') ?? '');
    if (!file) throw new AppError('not_found', 'The job has left no such file. GET …/artifacts lists them.');
    return (await answerFile(c, file, { streams, open })) as never;
  });

  for (const { ending, type, toArchive } of ARCHIVES) {
    addRoute(app, archiveRoute(ending, type), async (c, which) => {
      const job = await readOwnJob(c, jobs);
      const parts = { filename: `artifacts-${job.job_id}.${ending}`, type, toArchive, streams };
      return (await answerArchive(c, await artifacts.require(job, which), parts)) as never;
    });
  }
};

const toListAnswer = (
  { job_id }: JobRecord,
  { set: { attempt, summary, partial }, listing: { sorted } }: FoundArtifacts,
  page: ArtifactFile[],
): ArtifactListAnswer => {
  const query = partial ? 'partial=true' : `attempt=${attempt}`;
  const last = page.at(-1);
  const { epoch, refused, notes } = summary;
  return {
    job_id,
    attempt,
    epoch,
    partial,
    files: page.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256, url: toUrl(job_id, path, query) })),
    total_files: sorted.length,
    total_bytes: sorted.reduce((sum, { bytes }) => sum + bytes, 0),
    refused,
    notes,
    next_cursor: last && last !== sorted.at(-1) ? toArtifactCursor({ epoch, after: last.path }) : null,
  };
};
