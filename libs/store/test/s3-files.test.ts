import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FilesUnavailable, openFiles, parseFilesPlace } from '@berth/store';
import S3rver from 's3rver';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { openS3Files, sweepParts } from '../src/files/s3-files.js';
import { parseS3Url } from '../src/files/s3-url.js';
import { itBreaksOff } from './broken-reads.js';
import { describeFileStore, inPieces } from './file-store-conformance.js';

const CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

/**
 * A server that speaks S3, on a folder. What it cannot do: sort names as S3 does, take two writes of one name at a time, and forget or list
 * the parts of an upload that was given up.
 */
const openServer = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-s3-'));
  const server = new S3rver({
    port: 0,
    address: '127.0.0.1',
    silent: true,
    directory: folder,
    configureBuckets: [{ name: 'bucket', configs: [] }],
  });
  const { port } = await server.run();
  const close = async (): Promise<void> => {
    await server.close();
    await rm(folder, { recursive: true });
  };
  return { endpoint: `http://127.0.0.1:${port}`, close };
};

const toClient = (endpoint: string) => ({ endpoint, region: 'us-east-1', credentials: CREDENTIALS });

describe('a bucket', () => {
  it('is told to throw away the parts of what broke off', async () => {
    const { endpoint, close } = await openServer();
    const sent: string[] = [];
    const note = ({ commandName }: { commandName: string }) => sent.push(commandName);
    const logger = { info: note, error: note, warn: () => undefined, debug: () => undefined };
    const files = openS3Files({ bucket: 'bucket', prefix: '' }, { ...toClient(endpoint), logger });
    onTestFinished(async () => {
      await files.close();
      await close();
    });
    const source = async function* () {
      yield* inPieces(Buffer.alloc(20_000_000));
      throw new Error('broken');
    };
    await expect(files.put('a', source())).rejects.toThrow('broken');
    expect(sent.filter((one) => one === 'CreateMultipartUploadCommand')).toHaveLength(1);
    expect(sent.filter((one) => one === 'AbortMultipartUploadCommand')).not.toEqual([]);
    expect(sent).not.toContain('CompleteMultipartUploadCommand');
  });

  it('that is not there, or nowhere, is not available', async () => {
    const { endpoint, close } = await openServer();
    onTestFinished(close);
    for (const [bucket, at] of [
      ['no-such-bucket', endpoint],
      ['bucket', 'http://127.0.0.1:1'],
    ] as const) {
      const files = openS3Files({ bucket, prefix: '' }, { ...toClient(at), maxAttempts: 1 });
      await expect(files.put('a', inPieces(Buffer.alloc(1)))).rejects.toBeInstanceOf(FilesUnavailable);
      await expect(files.read('a')).rejects.toThrow(/^The bucket \S+ \(BERTH_FILES\) cannot be read or written: /);
      await expect(files.list('').next()).rejects.toBeInstanceOf(FilesUnavailable);
      await files.close();
    }
  });

  itBreaksOff((url) => openS3Files({ bucket: 'bucket', prefix: '' }, { ...toClient(url), maxAttempts: 1 }));

  it('is swept of the parts of old uploads, on every page, whoever else removes them', async () => {
    const pages = [
      { Uploads: [{ Key: 'a', UploadId: '1', Initiated: new Date(0) }], IsTruncated: true, NextKeyMarker: 'a' },
      { Uploads: ['b', 'c'].map((Key) => ({ Key, UploadId: '2', Initiated: new Date(0) })) },
    ];
    const gone = Object.assign(new Error('NoSuchUpload'), { $metadata: { httpStatusCode: 404 } });
    const asked: object[] = [];
    const send = async ({ input }: { input: { Key?: string; KeyMarker?: string } }) => {
      asked.push(input);
      if (input.Key === 'b') throw gone;
      return input.Key ? {} : pages.shift();
    };
    await sweepParts({ send } as never, { bucket: 'bucket', prefix: 'p/' });
    expect(asked).toMatchObject([{ Prefix: 'p/' }, { Key: 'a' }, { KeyMarker: 'a' }, { Key: 'b' }, { Key: 'c' }]);
  });

  it('is named by a URL', () => {
    expect(parseS3Url('s3://bucket')).toEqual({ bucket: 'bucket', prefix: '' });
    expect(parseS3Url('s3://my.bucket/a/b/')).toEqual({ bucket: 'my.bucket', prefix: 'a/b/' });
    for (const wrong of ['s3:/bucket', 's3://', 's3://B', 's3://bucket/a b', 'http://bucket', 'bucket']) {
      expect(parseS3Url(wrong)).toBeUndefined();
    }
    expect(parseFilesPlace('/var/files')).toEqual({ kind: 'folder', folder: '/var/files' });
    expect(() => parseFilesPlace('ftp://x')).toThrow('s3://bucket/prefix');
  });

  it('is opened by its URL, with what the SDK reads from variables', async () => {
    const { endpoint, close } = await openServer();
    onTestFinished(close);
    vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
    vi.stubEnv('AWS_ACCESS_KEY_ID', CREDENTIALS.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', CREDENTIALS.secretAccessKey);
    vi.stubEnv('AWS_REGION', 'us-east-1');
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const files = await openFiles(parseFilesPlace('s3://bucket/x'), async () => '');
    expect(await files.put('a', inPieces(Buffer.from('abc')))).toMatchObject({ bytes: 3 });
    expect(await files.stat('a')).toMatchObject({ bytes: 3 });
    await files.close();
  });
});

describeFileStore(
  'a bucket',
  async () => {
    const { endpoint, close } = await openServer();
    return { files: openS3Files({ bucket: 'bucket', prefix: 'some/where/' }, toClient(endpoint)), close };
  },
  { inOrder: false, oneByOne: true },
);
