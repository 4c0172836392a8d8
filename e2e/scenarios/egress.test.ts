import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** Jobs may reach out when they ask for it, but never each other. */
describe('the egress network', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  it('keeps its containers from reaching each other', async () => {
    const small = { network: 'egress', cpus: 0.5, stop_grace_seconds: 0 };
    const listener = await berth.submit({ ...small, command: 'hostname -i; while true; do nc -l -p 7000; done' });
    const address = await until('the listener to say its address', async () => {
      const { body } = await berth.request('GET', `/v1/jobs/${listener.job_id}`);
      return String(body.stdout).match(/\d+\.\d+\.\d+\.\d+/)?.[0];
    });
    await until('the port to be open to the machine itself', async () => {
      const socket = connect(7000, address);
      await once(socket, 'connect');
      socket.destroy();
      return true;
    });

    const neighbour = await berth.submit({
      ...small,
      command: `nc -w 2 ${address} 7000 < /dev/null && echo reached || echo blocked`,
    });
    expect((await berth.wait(neighbour.job_id)).stdout).toBe('blocked\n');

    await berth.request('POST', `/v1/jobs/${listener.job_id}/cancel`);
    expect((await berth.wait(listener.job_id)).state).toBe('cancelled');
  });
});
