import { once } from 'node:events';
import { Socket } from 'node:net';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../src/migrate.js';
import { inTransaction } from '../src/transaction.js';
import { databaseUrl, toPrefix } from './open-test-history.js';

const openPool = (more: pg.PoolConfig = {}): pg.Pool => {
  const pool = new pg.Pool({ connectionString: databaseUrl(), ...more });
  onTestFinished(() => pool.end());
  return pool;
};

/** A pool whose connections can be cut, under this name. */
const openCuttablePool = (application_name: string) => {
  const sockets: Socket[] = [];
  const stream = () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  const cut = async (): Promise<void> => {
    const open = sockets.filter((socket) => !socket.destroyed);
    const closed = open.map((socket) => once(socket, 'close'));
    for (const socket of open) socket.destroy();
    await Promise.all(closed);
  };
  return { pool: openPool({ stream, max: 1, application_name }), cut };
};

/** Somebody else has the lock for which this schema's migration waits. */
const holdLock = async (schema: string) => {
  const other = openPool();
  const holder = await other.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`berth migrations of ${schema}`]);
  const waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'advisory'";
  return {
    async isWaitedFor(name: string) {
      while ((await other.query(waiting, [name])).rows.length === 0);
    },
    release: () => holder.release(true),
  };
};

const expectWell = async (pool: pg.Pool): Promise<void> => {
  expect(pool.totalCount).toBe(0);
  const { rows } = await inTransaction(pool, (client) => client.query('SELECT 1 AS one'));
  expect([rows, pool.totalCount]).toEqual([[{ one: 1 }], 1]);
};

// An error event that nobody hears would end the process, which vitest reports as an error of the run.
describe('a connection that is cut', () => {
  it('while a migration waits for its turn fails that one, and is not used again', async () => {
    const schema = toPrefix('cut');
    const { pool, cut } = openCuttablePool(schema);
    const lock = await holdLock(schema);
    const migrating = expect(migrate(pool, schema)).rejects.toThrow('Connection terminated unexpectedly');
    await lock.isWaitedFor(schema);
    await cut();
    await migrating;
    await expectWell(pool);
    lock.release();
  });

  it('between two statements of a transaction fails it, and is not used again', async () => {
    const { pool, cut } = openCuttablePool('berth');
    const work = inTransaction(pool, async (client) => {
      await client.query('SELECT 1');
      await cut();
    });
    await expect(work).rejects.toThrow('connection error');
    await expectWell(pool);
  });
});
