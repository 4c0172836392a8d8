import { AppError } from '@berth/domain';
import type { History } from '@berth/history';
import { type FileStore, objectNames, type Store, toWentBackProblem } from '@berth/store';

interface ClaimParts {
  store: Pick<Store, 'keys' | 'archiving' | 'readInstallation' | 'readWentBack'>;
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

/**
 * Whether what nobody knows is nobody's. "No record" says so only where the records are those that the files came with: so the file store holds an
 * object that names the installation, as Redis does. A store without one is marked by whoever looks first; each looks again when it has marked it,
 * so of two installations that mark it at a time neither takes it for its own. Throws AppError `unavailable`, in words for an operator, where the
 * mark is another's, where Redis has gone back, and where jobs were archived and there is no archive here.
 */
export const createFilesClaim = ({ store, files, history }: ClaimParts) => {
  let held: string | undefined;

  const readMarks = async (): Promise<string[]> => {
    const names: string[] = [];
    for await (const { name } of files.list(objectNames.installations)) names.push(name);
    return names;
  };

  const readMine = async (): Promise<string> => {
    const went_back_at = await store.readWentBack();
    if (went_back_at !== null) throw refuse('went_back', toWentBackProblem(store.keys.wentBack, went_back_at));
    if (!history && (await store.archiving.readNewestArchived()) !== null) {
      throw refuse('archive', 'Jobs were archived, and this API has no DATABASE_URL: give it the one of the others.');
    }
    return objectNames.installation(await store.readInstallation());
  };

  return {
    /** As far as Redis knows, and the mark as it was seen last. */
    async requireRecords(): Promise<void> {
      const mine = await readMine();
      if (held !== mine) throw toOthers(held === undefined ? [] : [held]);
    },

    /** Looks at the mark as well, and makes it where there is none. */
    async take(): Promise<void> {
      const mine = await readMine();
      if ((await readMarks()).length === 0) await files.put(mine, toSource(mine));
      const others = (await readMarks()).filter((name) => name !== mine);
      if (others.length > 0) throw toOthers(others);
      held = mine;
    },
  };
};

export type FilesClaim = ReturnType<typeof createFilesClaim>;

const toSource = async function* (text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${text}\n`);
};
