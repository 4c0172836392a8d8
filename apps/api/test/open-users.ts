import type { Role } from '@berth/domain';
import type { Reply, TestApi } from './open-test-api.js';

/** A key of a user, and requests that show it. */
export interface TestUser {
  key: string;
  key_id: string;
  authorization: string;
  send: TestApi['send'];
  submit: TestApi['submit'];
}

export const openUser = async (api: TestApi, user: string, role: Role = 'user'): Promise<TestUser> => {
  const { key, key_id } = await api.store.apiKeys.create({ user, role, expires_at: null });
  const authorization = `Bearer ${key}`;
  const send: TestApi['send'] = (method, path, { body, headers } = {}) =>
    api.send(method, path, { ...(body === undefined ? {} : { body }), headers: { authorization, ...headers } });
  const submit = async (spec: object = {}): Promise<string> => {
    const reply = await send('POST', '/v1/jobs', { body: { command: 'true', ...spec } });
    if (reply.status !== 201) throw new Error(`expected 201, got ${reply.status}: ${reply.text}`);
    return reply.body.job_id;
  };
  return { key, key_id, authorization, send, submit };
};

/** All that a client sees of an answer, but the time of day. */
export const toSeen = ({ status, headers, text }: Reply) => {
  const { date: _, ...rest } = headers;
  return { status, headers: rest, text };
};
