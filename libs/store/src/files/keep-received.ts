import type { AddedUpload, Upload, Uploads } from '../uploads.js';
import type { FileStore } from './file-store.js';
import { dropReceived, type ReceivedFile } from './receive-form.js';

export interface UploadKeeper {
  files: Pick<FileStore, 'remove'>;
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

/** Files that have come, as uploads of their user. */
export interface KeptUploads {
  /** In their order; `known` where the user had the bytes before. */
  kept: Extract<AddedUpload, { upload: Upload }>[];
  /** Takes back what nobody has used since: what it was for is not to be. What was the user's before stays. */
  drop(): Promise<void>;
}

/**
 * Makes received files uploads of their user, all of them or none. Bytes that the user has already are kept once. Throws UploadsFull, or what
 * Redis says; then none of them is left.
 */
export const keepReceived = async (keeper: UploadKeeper, received: ReceivedFile[]): Promise<KeptUploads> => {
  const { files, uploads, user, quota_bytes } = keeper;
  const added: Upload[] = [];
  const kept: KeptUploads['kept'] = [];
  const left = [...received];
  const drop = async (): Promise<void> => {
    for (const upload of added) {
      if ((await uploads.markRemoving(upload, { if_unused: true })) !== 'marked') continue;
      await files.remove(upload.object);
      await uploads.remove(upload);
    }
  };
  try {
    for (let one = left[0]; one; one = left[0]) {
      const { name, object, bytes, sha256: file_id } = one;
      const reply = await uploads.add({ user, file_id, object, bytes, name }, quota_bytes);
      if (reply.kind === 'over_quota') throw new UploadsFull(reply.stored_bytes);
      left.shift();
      kept.push(reply);
      if (reply.kind === 'added') {
        added.push(reply.upload);
        continue;
      }
      await files.remove(object);
      // The same bytes twice in one form: used once more, and still only by it.
      const before = added.findIndex((upload) => upload.file_id === file_id);
      if (before !== -1) added[before] = reply.upload;
    }
    return { kept, drop };
  } catch (error) {
    await drop().catch(() => undefined);
    await dropReceived(files, left);
    throw error;
  }
};
