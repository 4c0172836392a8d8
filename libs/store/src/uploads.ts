import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** A file of a user, by the hash of its bytes. Times are Unix milliseconds. */
export interface Upload {
  user: string;
  /** The SHA-256 of its bytes, in hex. */
  file_id: string;
  /** Where the bytes are in the file store. */
  object: string;
  bytes: number;
  /** What its user calls it; for people. */
  name: string | null;
  created_at: number;
  /** The last time that it was uploaded or taken by a job. */
  used_at: number;
  /** Since when it is on its way out: for jobs and users it is gone. Null: it is not. */
  removing: number | null;
}

export type NewUpload = Pick<Upload, 'user' | 'file_id' | 'object' | 'bytes' | 'name'>;

/**
 * `known`: these bytes of the user were there before, under another object; the new object is nobody's. `restored`: that other object is lost, and
 * the new one has taken its place.
 */
export type AddedUpload =
  | { kind: 'added' | 'known' | 'restored'; upload: Upload }
  | { kind: 'over_quota'; stored_bytes: number };

export interface AddOptions {
  /** Bounds all uploads of the user together. */
  quota_bytes?: number | undefined;
  /** What was seen in the upload's entry, and is not in the store or not whole. */
  lost_object?: string | undefined;
}

/** `needed`: a job or array that has not ended was submitted with it. `changed`: it is no longer as it was seen. */
export type RemovalMark = 'marked' | 'needed' | 'changed';

export interface UploadPage {
  uploads: Upload[];
  /** The place to go on after, or null where the list has ended. */
  next: string | null;
}

const FIELDS = ['object', 'bytes', 'name', 'created_at', 'used_at', 'removing'] as const;
const PAGE = 200;
const ID_LENGTH = 64;

type Values = (string | null | undefined)[];

const toUpload = (user: string, file_id: string, values: Values): Upload | null => {
  const [object, bytes, name, created_at, used_at, removing] = values;
  if (!object) return null;
  return {
    user,
    file_id,
    object,
    bytes: Number(bytes),
    name: name || null,
    created_at: Number(created_at),
    used_at: Number(used_at),
    removing: removing ? Number(removing) : null,
  };
};

/** Reads what is kept of uploads, those on their way out included. */
const createUploadReader = (redis: Redis, keys: Keys) => {
  const readAny = async (user: string, file_id: string): Promise<Upload | null> =>
    toUpload(user, file_id, await redis.hmget(keys.file(user, file_id), ...FIELDS));

  const readMany = async (members: { user: string; file_id: string }[]): Promise<Upload[]> =>
    (await Promise.all(members.map(({ user, file_id }) => readAny(user, file_id)))).filter((found) => found !== null);

  return {
    readAny,

    /** A user's, newest first. Those on their way out are left out, so a page may be shorter than asked for and still go on. */
    async list(user: string, limit: number, after?: string): Promise<UploadPage> {
      const from = after === undefined ? '+' : `(${after}`;
      const members = await redis.zrevrangebylex(keys.filesOfUser(user), from, '-', 'LIMIT', 0, limit);
      const found = await readMany(members.map((member) => ({ user, file_id: member.slice(-ID_LENGTH) })));
      const next = members.length < limit ? null : (members.at(-1) ?? null);
      return { uploads: found.filter(({ removing }) => removing === null), next };
    },

    /** Everybody's, the longest unused first. What is used meanwhile may come twice or not at all. */
    async *listAll(): AsyncGenerator<Upload> {
      let from = 0;
      let seen: string[] = [];
      for (;;) {
        // A page begins with the last time of the one before it, and passes over what that one has shown of it.
        const page = await redis.zrangebyscore(keys.files, from, '+inf', 'WITHSCORES', 'LIMIT', 0, PAGE + seen.length);
        const entries = page.flatMap((member, i) => (i % 2 ? [] : [{ member, used_at: Number(page[i + 1]) }]));
        const fresh = entries.filter(({ member }) => !seen.includes(member));
        if (fresh.length === 0) return;
        yield* await readMany(
          fresh.map(({ member }) => ({ file_id: member.slice(0, ID_LENGTH), user: member.slice(ID_LENGTH + 1) })),
        );
        from = entries.at(-1)?.used_at ?? from;
        seen = entries.filter(({ used_at }) => used_at === from).map(({ member }) => member);
      }
    },
  };
};

/**
 * The index of uploads: which bytes a user has, and in which object. The object is written first and indexed then, and marked,
 * removed and forgotten in that order the other way round, so a crash in between leaves an object without an entry or an entry marked as on its
 * way out, never an entry whose bytes are gone without notice. A scrub finds both: `listAll` and the objects under `uploads/`.
 */
export const createUploads = (redis: Redis, keys: Keys, scripts: Scripts) => {
  const { readAny, list, listAll } = createUploadReader(redis, keys);
  return {
    list,
    listAll,

    /** Null: the user has no such file, or it is on its way out. */
    async read(user: string, file_id: string): Promise<Upload | null> {
      const found = await readAny(user, file_id);
      return found?.removing === null ? found : null;
    },

    /** The object is in the store by now. Where the answer is lost it may have happened all the same. */
    async add(
      { user, file_id, object, bytes, name }: NewUpload,
      { quota_bytes, lost_object }: AddOptions = {},
    ): Promise<AddedUpload> {
      const args = [user, file_id, object, bytes, name ?? '', quota_bytes ?? '', lost_object ?? ''];
      const [kind, ...values] = (await scripts.run('add-file', ...args)) as [AddedUpload['kind'], ...Values];
      if (kind === 'over_quota') return { kind, stored_bytes: Number(values[0]) };
      const upload = toUpload(user, file_id, values);
      if (!upload) throw new Error(`${keys.file(user, file_id)} is not whole`);
      return { kind, upload };
    },

    /** Bytes of all uploads of a user. */
    readStoredBytes: async (user: string): Promise<number> => Number((await redis.hget(keys.fileBytes, user)) ?? 0),

    /** Says that a user's files are about to be used: which of them are missing. Where none is, they are kept from retention as just used. */
    async touch(user: string, file_ids: readonly string[]): Promise<string[]> {
      if (file_ids.length === 0) return [];
      return (await scripts.run('take-files', user, ...new Set(file_ids))) as string[];
    },

    /** Begins to remove it; with `if_unused`, only where nobody has used it since it was read. Next: the object, then `remove`. */
    async markRemoving(upload: Upload, { if_unused = false } = {}): Promise<RemovalMark> {
      const { user, file_id, object } = upload;
      for (;;) {
        const reply = await scripts.run('mark-file', user, file_id, object, if_unused ? upload.used_at : '');
        if (reply !== 'again') return reply as RemovalMark;
      }
    },

    /** Its object is gone: so is its entry. False: another object has taken its place. */
    async remove({ user, file_id, object }: Upload): Promise<boolean> {
      return (await scripts.run('remove-file', user, file_id, object)) === 1;
    },
  };
};

export type Uploads = ReturnType<typeof createUploads>;
