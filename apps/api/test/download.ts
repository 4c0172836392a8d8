import { type IncomingHttpHeaders, request as sendRequest } from 'node:http';

export interface Download {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  /** The body, where it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer;
}

/** Sends the path as it is written, and reads the body as bytes. Rejects where the connection breaks before the end. */
export const download = (
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
): Promise<Download> =>
  new Promise((resolve, reject) => {
    const request = sendRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const isJson = response.headers['content-type']?.includes('json') && bytes.length > 0;
        const parsed = isJson ? JSON.parse(bytes.toString('utf8')) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, body: parsed });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
