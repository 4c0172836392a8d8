/** `note` is ours: it says where output was cut. */
export type LogStream = 'stdout' | 'stderr' | 'note';

export interface LogPiece {
  stream: LogStream;
  attempt: number;
  bytes: Buffer;
}

/** A note about output that is not stored although it was there, or `end`: what follows it was taken from the output's end. */
export interface LogNote extends LogPiece {
  stream: 'note';
  about: { stdout: number; stderr: number } | 'end';
}

/** A stored piece. Ids grow with time and are what a reader resumes after. */
export interface LogEntry extends LogPiece {
  id: string;
  /** When it was stored, in Unix ms by the broker's clock. Null: an earlier version kept no times. */
  at: number | null;
  /** A note between two epochs of one attempt: what stands before it came from a container that was given up. */
  anew?: true;
}

/** A piece as it is kept, in the stream and in segments alike. */
export interface StoredPiece {
  id: string;
  /** What it is: see `toStream`. `l` carries the lost bytes of stdout and stderr: `l:12:0`. */
  code: string;
  attempt: number;
  at: number | null;
  bytes: Buffer;
}

/** What a piece takes in the broker beside its bytes, about. */
const OVERHEAD_BYTES = 64;

/** What a piece counts while it stands in no segment: for where a segment ends, and for how much of a log the broker is given. */
export const toBrokerBytes = ({ bytes }: { bytes: Uint8Array }): number => bytes.length + OVERHEAD_BYTES;

const CODES: Record<LogStream, string> = { stdout: 'o', stderr: 'e', note: 'n' };
const STREAMS: Record<string, LogStream> = { o: 'stdout', e: 'stderr' };
export const ANEW = 'a';
export const END = 'x';
const LOST = 'l';

export const toStream = (code: string): LogStream => STREAMS[code] ?? 'note';

/** Bytes that were there and could not be stored, by what a note says. */
export const toLost = (code: string): { stdout: number; stderr: number } => {
  const [kind, stdout = 0, stderr = 0] = code.split(':');
  return kind === LOST ? { stdout: Number(stdout), stderr: Number(stderr) } : { stdout: 0, stderr: 0 };
};

export const toCode = (piece: LogPiece | LogNote): string => {
  if (!('about' in piece)) return CODES[piece.stream];
  return piece.about === 'end' ? END : [LOST, piece.about.stdout, piece.about.stderr].join(':');
};

export const toEntry = ({ id, code, attempt, at, bytes }: StoredPiece): LogEntry => ({
  id,
  stream: toStream(code),
  attempt,
  bytes,
  at,
  ...(code === ANEW ? { anew: true } : {}),
});

export type RawEntry = [Buffer, Buffer[]];

/** As the stream has it. */
export const toPiece = ([id, fields]: RawEntry): StoredPiece => ({
  id: id.toString(),
  code: fields[1]?.toString() ?? '',
  attempt: Number(fields[3]?.toString()),
  at: fields[7] === undefined ? null : Number(fields[7].toString()),
  bytes: fields[5] ?? Buffer.alloc(0),
});

const ENTRY_ID = /^\d{1,15}-\d{1,10}$/;
/** Whether a client's Last-Event-ID can be one of ours. */
export const isLogEntryId = (text: string): boolean => ENTRY_ID.test(text);

/** Epoch and number in it. */
export const toPlace = (id: string): [number, number] => {
  const [epoch, number] = id.split('-');
  return [Number(epoch), Number(number)];
};

/** Negative where the first comes before the second. */
export const compareIds = (a: string, b: string): number => {
  const [first, second] = [toPlace(a), toPlace(b)];
  return first[0] - second[0] || first[1] - second[1];
};
