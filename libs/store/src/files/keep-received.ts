import { findRefusal, isUnavailable } from '../unavailable.js';
import type { AddedUpload, Upload, Uploads } from '../uploads.js';
import type { FileStore } from './file-store.js';
import { dropReceived, type ReceivedFile } from './receive-form.js';

export interface UploadKeeper {
  files: Pick<FileStore, 'stat' | 'remove'>;
  uploads: Pick<Uploads, 'add' | 'markRemoving' | 'remove'>;
  user: string;
  /** Of all uploads of the user together. Absent: no limit. */
  quota_bytes?: number | undefined;
}

export class UploadsFull extends Error {
  constructor(readonly stored_bytes: number) {
    super(`The user's files take ${stored_bytes} bytes already, and these would be more than they may`);
    this.name = 'UploadsFull';
  }
}

type KeptUpload = Extract<AddedUpload, { upload: Upload }>;

/** Files that have come, as uploads of their user. */
export interface KeptUploads {
  /** In their order; `known` or `restored` where the user had the bytes before. */
  kept: KeptUpload[];
  /** Takes back what nobody has used since: what it was for is not to be. What was the user's before stays. */
  drop(): Promise<void>;
}

/** Whether its bytes are in the store, as many as there were. */
export const isWhole = async (files: Pick<FileStore, 'stat'>, { object, bytes }: Upload): Promise<boolean> =>
  (await files.stat(object))?.bytes === bytes;

/** Redis may have done, or do yet, what it was asked for. */
const isInDoubt = (error: unknown): boolean => isUnavailable(error) && findRefusal(error) === undefined;

/** Throws UploadsFull, or what the store or Redis says. */
const keepOne = async (keeper: UploadKeeper, received: ReceivedFile): Promise<KeptUpload> => {
  const { files, uploads, user, quota_bytes } = keeper;
  const { name, object, bytes, sha256: file_id } = received;
  let lost_object: string | undefined;
  for (;;) {
    const reply = await uploads.add({ user, file_id, object, bytes, name }, { quota_bytes, lost_object });
    if (reply.kind === 'over_quota') throw new UploadsFull(reply.stored_bytes);
    if (reply.kind === 'known' && !(await isWhole(files, reply.upload))) {
      lost_object = reply.upload.object;
      continue;
    }
    const unowned = { added: [], known: [object], restored: lost_object === undefined ? [] : [lost_object] }[
      reply.kind
    ];
    await dropReceived(
      files,
      unowned.map((name) => ({ object: name })),
    );
    return reply;
  }
};

/**
 * Makes received files uploads of their user, all of them or none. Bytes that the user has already are kept once; where those were lost, the
 * received ones take their place. Throws UploadsFull, or what the store or Redis says; then none of them is left, except where Redis did not
 * answer: it may have made that file an upload, so its object stays, and if it did not, a scrub finds it.
 */
export const keepReceived = async (keeper: UploadKeeper, received: ReceivedFile[]): Promise<KeptUploads> => {
  const { files, uploads } = keeper;
  const added: Upload[] = [];
  const kept: KeptUploads['kept'] = [];
  const drop = async (): Promise<void> => {
    for (const upload of added) {
      if ((await uploads.markRemoving(upload, { if_unused: true })) !== 'marked') continue;
      await files.remove(upload.object);
      await uploads.remove(upload);
    }
  };
  try {
    for (const one of received) {
      const reply = await keepOne(keeper, one);
      kept.push(reply);
      // The same bytes twice in one form: used once more, and still only by it.
      const before = added.findIndex(({ file_id }) => file_id === one.sha256);
      if (before !== -1) added[before] = reply.upload;
      else if (reply.kind === 'added') added.push(reply.upload);
    }
    return { kept, drop };
  } catch (error) {
    await drop().catch(() => undefined);
    await dropReceived(files, received.slice(kept.length + (isInDoubt(error) ? 1 : 0)));
    throw error;
  }
};
