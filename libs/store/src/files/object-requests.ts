import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { FilesUnavailable } from './file-store.js';
import { OBJECTS_PATH, signRequest } from './signed-request.js';

/** A connection on which nothing moves for so long is given up. */
const SILENT_MS = 60_000;
const SILENCE = `nothing moved for ${SILENT_MS / 1000} s`;
const LONGEST_ANSWER = 1024 * 1024;

export type ToUnavailable = (cause: unknown) => FilesUnavailable;

const createToUnavailable =
  ({ origin }: URL): ToUnavailable =>
  (cause) => {
    const why = cause instanceof Error ? cause.message : cause;
    return new FilesUnavailable(`The API at ${origin} (BERTH_URL) cannot be asked for objects: ${why}`, { cause });
  };

interface Ask {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Below the path of objects, with its query. */
  target: string;
  headers?: Record<string, string>;
}

const afterThis = () => new Promise<void>((resolve) => setImmediate(resolve));

export const readText = async (answer: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of answer) {
    text += chunk;
    if (text.length > LONGEST_ANSWER) throw new Error('the answer is too long');
  }
  return text;
};

/** What an answer says that is not the one that was hoped for. */
export const toFault = async (answer: IncomingMessage): Promise<FilesUnavailable> => {
  const text = await readText(answer).catch(() => '');
  const detail = /"detail":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text.slice(0, 200);
  return new FilesUnavailable(`The API answers ${answer.statusCode} to a request for objects: ${detail}`);
};

/**
 * Sends the source as fast as it is taken. An answer that comes before its end is a refusal and ends it. What the source throws is
 * thrown on as it is, and the connection is broken, so that nobody takes a part for the whole.
 */
const upload = async (
  sent: ClientRequest,
  source: AsyncIterable<Uint8Array>,
  toUnavailable: ToUnavailable,
): Promise<IncomingMessage> => {
  // While we have nothing to send, it is not the API that is silent.
  sent.on('timeout', () => sent.writableLength > 0 && sent.destroy(new Error(SILENCE)));
  let thrown: { error: unknown } | undefined;
  const watched = async function* () {
    try {
      yield* source;
    } catch (error) {
      thrown = { error };
      throw error;
    }
  };
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.on('error', reject);
  });
  const sending = pipeline(watched, sent);
  sending.catch(() => undefined);
  try {
    const early = await Promise.race([answered, sending]);
    if (!early) return await answered;
    const fault = await toFault(early);
    sent.destroy();
    throw fault;
  } catch (error) {
    if (error instanceof FilesUnavailable) throw error;
    // The connection may be seen to be broken before it is known why.
    if (!thrown) await Promise.race([sending, afterThis()]).catch(() => undefined);
    throw thrown ? thrown.error : toUnavailable(error);
  }
};

/** Signed requests for objects, to the API at a URL. All throw FilesUnavailable where it cannot be asked. */
export const createAsk = ({ url, secret }: { url: string; secret: string }) => {
  const base = new URL(url);
  const toUnavailable = createToUnavailable(base);
  const isTls = base.protocol === 'https:';
  const path = base.pathname.replace(/\/+$/, '');
  const agent = isTls ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });

  const open = ({ method, target, headers = {} }: Ask, reuse: boolean): ClientRequest => {
    const signed = OBJECTS_PATH + target;
    const all = { ...headers, ...signRequest(secret, method, signed) };
    const options = { method, path: path + signed, headers: all, agent: reuse ? agent : false, timeout: SILENT_MS };
    return isTls ? httpsRequest(base, options) : httpRequest(base, options);
  };

  const once = (request: Ask, reuse: boolean): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const sent = open(request, reuse);
      let answer: IncomingMessage | undefined;
      sent.once('response', (came) => {
        answer = came;
        resolve(came);
      });
      sent.on('error', reject);
      // While somebody has still to read what came, it is not the API that is silent.
      sent.on('timeout', () => (answer?.readableLength ?? 0) > 0 || sent.destroy(new Error(SILENCE)));
      sent.end();
    });

  /** A connection that was kept may be closed by the time it is used again; then a new one is made. */
  const ask = (request: Ask): Promise<IncomingMessage> =>
    once(request, true)
      .catch(() => once(request, false))
      .catch((error) => {
        throw toUnavailable(error);
      });

  return {
    ask,
    /** What breaks an answer off. */
    toUnavailable,
    upload: (target: string, source: AsyncIterable<Uint8Array>) =>
      upload(open({ method: 'PUT', target }, false), source, toUnavailable),
    close: () => agent.destroy(),
  };
};
