/** How often a silent stream says that it is alive, so that no proxy takes it for dead. */
export const HEARTBEAT_MS = 15_000;
export const HEARTBEAT = ': alive\n\n';
export const EVENT_STREAM = 'text/event-stream; charset=utf-8';

/** `data` travels as one line of JSON, so nothing in it can be taken for a field of the stream; ids are our own. */
export const toFrame = (event: string, data: unknown, id?: string): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
