import { toShown } from './input-problem.js';

const MOST_NOTES = 20;

/** What was refused of a job's outputs: all are counted, and of the first some is said. */
export const createOutputNotes = () => {
  const notes: string[] = [];
  let refused = 0;
  const say = (text: string) => {
    if (notes.length < MOST_NOTES) notes.push(text);
  };
  return {
    say,
    refuse(path: string, why: string): void {
      refused += 1;
      say(`${toShown(path)}: ${why}`);
    },
    read: () => ({ refused, notes }),
  };
};
