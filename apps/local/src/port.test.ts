import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { checkPortIsFree } from './port.js';

it('names the port in use and the variable that changes it', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const wanted = { host: '127.0.0.1', port, variable: 'BERTH_PORT', purpose: 'the API' };
  await expect(checkPortIsFree(wanted)).rejects.toThrow(new RegExp(`Port ${port} on .*in use.*set BERTH_PORT`));
  other.close();
  await once(other, 'close');
  await expect(checkPortIsFree(wanted)).resolves.toBeUndefined();
});
