import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';

/** A call to the engine that a rule matched. Of a reply's body only that of a call that a rule waits `after` is read. */
interface EngineCall {
  method: string;
  path: string;
  status?: number;
  body?: string;
}

/** `drop`: before, the engine never hears of the call; after, the caller never hears the reply. Its connection breaks. */
type Verdict = undefined | 'drop';

interface Rule {
  /** Default: any. */
  method?: string;
  path: RegExp;
  /** The rule does not count for a call that this says no to. It sees the reply only `after`. */
  when?: (call: EngineCall) => boolean;
  /** For how many calls it holds. Default: 1. */
  times?: number;
}

type Action = (call: EngineCall) => Promise<Verdict> | Verdict | Promise<void> | void;

interface SetRule {
  /** Settles when the rule's action has been done for the first time. */
  done: Promise<EngineCall>;
  hits(): number;
  remove(): void;
}

/**
 * Stands between one worker and its engine. Whatever no rule matches passes through untouched: streams, attached ones too. A call whose
 * caller has died while a rule held it up is not made.
 */
export interface EngineProxy {
  /** As in DOCKER_HOST. */
  host: string;
  /** Called before the engine hears of the call. */
  before(rule: Rule, action: Action): SetRule;
  /** Called when the engine has replied, before the caller hears of it. */
  after(rule: Rule, action: Action): SetRule;
  /** Every call so far, `METHOD path`, oldest first. */
  calls(): string[];
  /** Forgets all rules. */
  clear(): void;
  /** Ends every connection, and refuses new ones until `heal`. */
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

interface KeptRule {
  rule: Rule;
  action: Action;
  left: number;
  hits: number;
  settle: (call: EngineCall) => void;
}

const createRules = () => {
  const kept = new Set<KeptRule>();
  return {
    clear: () => kept.clear(),
    add(rule: Rule, action: Action): SetRule {
      let settle: (call: EngineCall) => void = () => undefined;
      const done = new Promise<EngineCall>((resolve) => {
        settle = resolve;
      });
      const entry = { rule, action, left: rule.times ?? 1, hits: 0, settle };
      kept.add(entry);
      return { done, hits: () => entry.hits, remove: () => void kept.delete(entry) };
    },
    isWatched: (call: EngineCall) => [...kept].some(({ rule }) => fits(rule, call)),
    async apply(call: EngineCall): Promise<Verdict> {
      for (const entry of kept) {
        if (!fits(entry.rule, call) || entry.rule.when?.(call) === false) continue;
        entry.left -= 1;
        entry.hits += 1;
        if (entry.left <= 0) kept.delete(entry);
        const verdict = await entry.action(call);
        entry.settle(call);
        if (verdict === 'drop') return 'drop';
      }
      return undefined;
    },
  };
};

const fits = (rule: Rule, call: EngineCall): boolean =>
  (rule.method === undefined || rule.method === call.method) && rule.path.test(call.path);

/** `engine` is the path of the engine's socket, `path` that of ours. */
export const openEngineProxy = async (engine: string, path: string): Promise<EngineProxy> => {
  const before = createRules();
  const after = createRules();
  const calls: string[] = [];
  const sockets = new Set<Socket>();
  let isCut = false;

  const note = (incoming: IncomingMessage): EngineCall => {
    const call = { method: incoming.method ?? '', path: incoming.url ?? '' };
    calls.push(`${call.method} ${call.path}`);
    return call;
  };
  const ask = (incoming: IncomingMessage) =>
    request({
      socketPath: engine,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
      agent: false,
    });

  const pass = async (incoming: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const call = note(incoming);
    const verdict = await before.apply(call);
    // A dead caller's socket has ended at once; that it is destroyed takes a moment more.
    const { socket } = incoming;
    if (verdict === 'drop' || socket.destroyed || socket.readableEnded) return void socket.destroy();
    const asked = ask(incoming);
    asked.on('error', () => socket.destroy());
    reply.on('close', () => asked.destroy());
    asked.on('response', (answer) => void answerWith(answer, reply, call));
    if (hasBody(incoming)) incoming.pipe(asked);
    else asked.end();
  };

  const answerWith = async (answer: IncomingMessage, reply: ServerResponse, call: EngineCall): Promise<void> => {
    answer.on('error', () => reply.destroy());
    const status = answer.statusCode ?? 500;
    if (!after.isWatched(call)) {
      reply.writeHead(status, answer.headers);
      reply.flushHeaders();
      answer.pipe(reply);
      return;
    }
    const body = await buffer(answer).catch(() => undefined);
    if (body === undefined) return void reply.destroy();
    const verdict = await after.apply({ ...call, status, body: body.toString() });
    if (verdict === 'drop') return void reply.destroy();
    const { 'transfer-encoding': _, ...headers } = answer.headers;
    reply.writeHead(status, headers).end(body);
  };

  /** An attached stream: after its head the two sides are joined byte by byte. */
  const join = async (incoming: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    const call = note(incoming);
    client.on('error', () => client.destroy());
    const verdict = await before.apply(call);
    if (verdict === 'drop' || client.destroyed) return void client.destroy();
    const asked = ask(incoming);
    asked.on('error', () => client.destroy());
    asked.on('response', (answer) => {
      client.write(toHead(answer));
      answer.pipe(client);
    });
    asked.on('upgrade', (answer, upstream, first) => {
      client.write(toHead(answer));
      if (first.length > 0) client.write(first);
      if (head.length > 0) upstream.write(head);
      upstream.on('error', () => client.destroy());
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
    });
    asked.end();
  };

  const server: Server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  server.on('request', (incoming, reply) => void pass(incoming, reply));
  server.on('upgrade', (incoming, client, head) => void join(incoming, client, head));
  server.on('connection', (socket) => {
    if (isCut) return void socket.destroy();
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });

  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    host: `unix://${path}`,
    before: before.add,
    after: after.add,
    calls: () => [...calls],
    clear: () => {
      before.clear();
      after.clear();
    },
    cut,
    heal: () => {
      isCut = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
};

/** To a call without a body none may be added: the engine refuses a start that has one. */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;

const toHead = (answer: IncomingMessage): string => {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2)
    lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
};
