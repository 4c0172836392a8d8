import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import {
  type ByteRange,
  FileMissing,
  type FileStore,
  FilesUnavailable,
  isObjectName,
  requireObjectName,
  type StoredObject,
} from './file-store.js';
import { createMeter, readMetered } from './metered-source.js';
import { toObjectStream } from './object-stream.js';
import type { S3Place } from './s3-url.js';

/** Parts are held in memory until they are sent: so many bytes, so many at a time. 10,000 of them make an object of 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_A_TIME = 2;
const LEFTOVER_MS = 24 * 3600_000;
const SWEEP_MS = 3600_000;

const REQUESTS: S3ClientConfig = {
  // Stores other than Amazon's know neither bucket names in host names nor the newer checksums.
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
  requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000, httpAgent: { maxSockets: 256 } },
};

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

const isMissing = (error: unknown): boolean => statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';

const toUnavailable = (bucket: string, cause: unknown): FilesUnavailable => {
  const why = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new FilesUnavailable(`The bucket ${bucket} (BERTH_FILES) cannot be read or written: ${why}`, { cause });
};

const createAsk =
  (bucket: string) =>
  async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw isMissing(error) ? error : toUnavailable(bucket, error);
    }
  };

const toRange = ({ start, end }: ByteRange): { Range?: string } =>
  start === 0 && end === undefined ? {} : { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` };

/** Sends an object whole or not at all, and tells what the source throws from what the store answers. */
const send = async (client: S3Client, Key: string, Bucket: string, source: AsyncIterable<Uint8Array>) => {
  let thrown: { error: unknown } | undefined;
  const watched = async function* () {
    try {
      yield* source;
    } catch (error) {
      thrown = { error };
      throw error;
    }
  };
  const Body = Readable.from(watched(), { objectMode: true, highWaterMark: 4 });
  const params = { Bucket, Key, Body, ContentType: 'application/octet-stream' };
  const upload = new Upload({ client, params, partSize: PART_BYTES, queueSize: PARTS_AT_A_TIME });
  try {
    await upload.done();
  } catch (error) {
    throw thrown ? thrown.error : toUnavailable(Bucket, error);
  }
};

/** Parts of uploads whose writer died: no list shows them, and somebody pays for them. Not every store can name them. */
export const sweepParts = async (
  client: Pick<S3Client, 'send'>,
  { bucket: Bucket, prefix: Prefix }: S3Place,
): Promise<void> => {
  let place: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (place) {
    const page: ListMultipartUploadsCommandOutput = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix, ...place }),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (!Initiated || Date.now() - Initiated.getTime() < LEFTOVER_MS) continue;
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch((error) => {
        if (!isMissing(error)) throw error;
      });
    }
    const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
    place = IsTruncated && KeyMarker ? { KeyMarker, UploadIdMarker } : undefined;
  }
};

/** A store that cannot do it is complained of once. */
const createSweep = (client: S3Client, place: S3Place) => {
  let warned = false;
  return async (): Promise<void> => {
    try {
      await sweepParts(client, place);
    } catch (error) {
      if (!warned) process.emitWarning(`Parts of broken uploads stay in the bucket ${place.bucket}: ${error}`);
      warned = true;
    }
  };
};

/**
 * Objects in a bucket of S3 or of what speaks like it. Credentials, region and endpoint come from the variables and files that the AWS SDK
 * reads by itself (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, …).
 */
export const openS3Files = ({ bucket: Bucket, prefix }: S3Place, more: S3ClientConfig = {}): FileStore => {
  const client = new S3Client({ ...REQUESTS, ...more });
  const toKey = (name: string): { Bucket: string; Key: string } => {
    requireObjectName(name);
    return { Bucket, Key: prefix + name };
  };
  const ask = createAsk(Bucket);
  const sweeping = setInterval(createSweep(client, { bucket: Bucket, prefix }), SWEEP_MS).unref();

  const stat = async (name: string): Promise<StoredObject | undefined> => {
    const found = await ask(client.send(new HeadObjectCommand(toKey(name)))).catch((error) => {
      if (!isMissing(error)) throw error;
      return undefined;
    });
    return found && { name, bytes: found.ContentLength ?? 0, changed_at: found.LastModified?.getTime() ?? 0 };
  };

  const readNothing = async (name: string): Promise<Readable> => {
    if (!(await stat(name))) throw new FileMissing(name);
    return Readable.from([]);
  };

  return {
    stat,
    async put(name, source, options = {}) {
      const meter = createMeter(options);
      await send(client, toKey(name).Key, Bucket, readMetered(source, meter, options.signal));
      return meter.written();
    },
    async read(name, range = { start: 0 }) {
      if (range.end !== undefined && range.end <= range.start) return readNothing(name);
      const command = new GetObjectCommand({ ...toKey(name), ...toRange(range) });
      try {
        return toObjectStream((await ask(client.send(command))).Body as Readable, (cause) =>
          toUnavailable(Bucket, cause),
        );
      } catch (error) {
        if (isMissing(error)) throw new FileMissing(name);
        // The range begins behind the end.
        if (error instanceof FilesUnavailable && statusOf(error.cause) === 416) return readNothing(name);
        throw error;
      }
    },
    async remove(name) {
      await ask(client.send(new DeleteObjectCommand(toKey(name)))).catch((error) => {
        if (!isMissing(error)) throw error;
      });
    },
    async *list(begin) {
      let ContinuationToken: string | undefined;
      do {
        const page = await ask(
          client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix + begin, ContinuationToken })),
        );
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
          const name = Key.slice(prefix.length);
          if (isObjectName(name)) yield { name, bytes: Size, changed_at: LastModified?.getTime() ?? 0 };
        }
        ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (ContinuationToken !== undefined);
    },
    async close() {
      clearInterval(sweeping);
      client.destroy();
    },
  };
};
