import { AppError } from '@berth/domain';
import type { History } from '@berth/history';
import { type FileStore, objectNames, type Store, toWentBackProblem } from '@berth/store';

interface MarkParts {
  store: Pick<Store, 'keys' | 'archiving' | 'retention' | 'readInstallation' | 'readWentBack'>;
  files: Pick<FileStore, 'list' | 'put'>;
  history: Pick<History, 'read'> | undefined;
}

const refuse = (reason: string, why: string): AppError =>
  new AppError('unavailable', `Nothing is removed from the file store now. ${why}`, { details: { reasons: [reason] } });

const toOthers = (others: string[]): AppError =>
  refuse(
    'installation',
    `It is marked as that of another installation: ${others.join(', ')}. So Redis is another one than before, or has lost its data, or two ` +
      'installations share BERTH_FILES: what this one has no record of may be the other’s. Put the right data back, or give each its own ' +
      'BERTH_FILES. If these files are this installation’s, and what it does not know may go, remove that object from the file store.',
  );

const toGone = (mine: string, key: string): AppError =>
  refuse(
    'unmarked',
    `It has no ${mine}, which was in it before. So BERTH_FILES is another place than before, or nothing is mounted there: mount it, or put ` +
      `BERTH_FILES right. If the store is really a new one, and the entries of uploads that are not in it may go, remove ${key} from Redis.`,
  );

/**
 * Whether what nobody knows is nobody's, and what is not there is gone. "No record" says so only where the records are those that the files came with, and
 * "no object" only where the store is the one that the records came with: so the file store holds an object, the mark, that names the installation, as Redis does,
 * and Redis remembers that it is there. A store that neither has nor had one is marked by whoever looks first; each looks again when it has marked it,
 * so of two installations that mark it at a time neither takes it for its own. Redis is told last: who dies before leaves a mark, which the next comes upon.
 *
 * All of it throws AppError `unavailable`, in words for an operator.
 */
export const createInstallationMark = ({ store, files, history }: MarkParts) => {
  const { keys, retention } = store;
  let seen: string | undefined;

  const readMarks = async (): Promise<string[]> => {
    const names: string[] = [];
    for await (const { name } of files.list(objectNames.installations)) names.push(name);
    return names;
  };

  /** Asks Redis alone. Throws where it has gone back, and where jobs were archived and there is no archive here. */
  const requireRecords = async (): Promise<void> => {
    const went_back_at = await store.readWentBack();
    if (went_back_at !== null) throw refuse('went_back', toWentBackProblem(keys.wentBack, went_back_at));
    if (!history && (await store.archiving.readNewestArchived()) !== null) {
      throw refuse('archive', 'Jobs were archived, and this API has no DATABASE_URL: give it the one of the others.');
    }
  };

  const readMine = async (): Promise<string> => {
    await requireRecords();
    return objectNames.installation(await store.readInstallation());
  };

  return {
    requireRecords,

    /** Asks Redis alone as well, and throws too where the mark, as it was seen last, is not the one of its installation. */
    async requireSame(): Promise<void> {
      const mine = await readMine();
      if (seen !== mine) throw toOthers(seen === undefined ? [] : [seen]);
    },

    /** Looks at the mark, and makes it where there is none and was none. Throws too where it is another's, or is gone. */
    async requireMark(): Promise<void> {
      const mine = await readMine();
      const known = (await retention.readMarked()) === mine;
      if ((await readMarks()).length === 0) {
        if (known) throw toGone(mine, keys.filesMarked);
        await files.put(mine, toSource(mine));
      }
      const others = (await readMarks()).filter((name) => name !== mine);
      if (others.length > 0) throw toOthers(others);
      if (!known) await retention.noteMarked(mine);
      seen = mine;
    },
  };
};

export type InstallationMark = ReturnType<typeof createInstallationMark>;

const toSource = async function* (text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${text}\n`);
};
