/** Half-open, in bytes. */
export interface Slice {
  start: number;
  end: number;
}

const RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/;

/**
 * What a Range header asks of so many bytes. Undefined: all of it, also where it asks for several ranges or is none, which RFC 9110 lets a
 * server answer so. `unsatisfiable`: nothing that is there.
 */
export const parseRange = (header: string | undefined, bytes: number): Slice | 'unsatisfiable' | undefined => {
  const found = RANGE.exec(header?.trim() ?? '');
  if (!found) return undefined;
  const [, first, last, suffix] = found;
  if (suffix !== undefined) {
    const start = Math.max(0, bytes - Number(suffix));
    return start < bytes ? { start, end: bytes } : 'unsatisfiable';
  }
  const start = Number(first);
  const end = last === '' || last === undefined ? bytes : Math.min(Number(last) + 1, bytes);
  if (last && Number(last) < start) return undefined;
  return start < bytes ? { start, end } : 'unsatisfiable';
};

/** Whether an If-None-Match names the tag: then the client has it already. */
export const isKnown = (header: string | undefined, etag: string): boolean =>
  header?.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag) ?? false;

/** Whether an If-Range lets a range be answered. A date never does: what we have is told apart by its tag. */
export const allowsRange = (header: string | undefined, etag: string): boolean =>
  header === undefined || header.trim() === etag;

const toToken = (name: string): string =>
  encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** `attachment`, under a name that may hold anything: RFC 6266 and 5987. */
export const toDisposition = (name: string): string =>
  `attachment; filename="${name.replace(/[^A-Za-z0-9._ -]/g, '_')}"; filename*=UTF-8''${toToken(name)}`;
