import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';

/**
 * All of it or nothing. A connection that it broke on is not used again. pg tells of a broken connection by an event too, and an event that nobody
 * hears ends the process: while the connection is out of the pool, nobody but us does.
 */
export const inTransaction = async <T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect();
  let failure: Error | undefined;
  const onError = (error: Error): void => {
    failure = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    client.off('error', onError);
    client.release(failure);
  }
};

type PatientQuery = <R extends QueryResultRow>(text: string, values?: unknown[]) => Promise<QueryResult<R>>;

/** For the rest of the transaction, a statement may take so many milliseconds: any by the server's clock, and what is asked through the reply by ours. */
export const withPatience = async (client: PoolClient, limit_ms: number): Promise<PatientQuery> => {
  await client.query(`SET LOCAL statement_timeout = ${limit_ms}`);
  // pg takes the limit with each query, and its types do not know.
  const limit = { query_timeout: limit_ms } as object;
  return (text, values) => {
    const query: QueryConfig = values === undefined ? { text } : { text, values };
    return client.query({ ...query, ...limit });
  };
};
