import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { addDocsPage, answerContract } from '../routes/docs.js';
import { createOrchestrator, type OrchestratorOptions } from './orchestrator.js';
import { ORCHESTRATOR_CONTRACT } from './orchestrator-contract.js';
import { answerAsOrchestrator, OrchestratorError } from './orchestrator-errors.js';

/** Where this format stands, but for what anybody may ask for. */
export const ORCHESTRATOR_PATH = /^\/(?:upload|download|download_partial|terminate)(?:\/|$)/;

const CONTRACT_PATH = '/api-docs/openapi.json';

type Handler = (c: Context) => Promise<Response> | Response;

export const addOrchestrator = (app: OpenAPIHono, options: OrchestratorOptions & { log: Logger }): void => {
  const { log } = options;
  const orchestrator = createOrchestrator(options);
  const add = (method: 'get' | 'post', path: string, handler: Handler): void => {
    const allow = method === 'get' ? 'GET, HEAD' : 'POST';
    const refuse = () => {
      throw new OrchestratorError(405, 'Method Not Allowed', { headers: { allow } });
    };
    app[method](path, answerAsOrchestrator(log, handler));
    app.all(path, answerAsOrchestrator(log, refuse));
  };
  add('post', '/upload', orchestrator.upload);
  add('get', '/download/:id', orchestrator.download);
  add('get', '/download_partial/:id', orchestrator.downloadPartial);
  add('post', '/terminate/:id', orchestrator.terminate);
  add('get', '/', (c) => c.json({ message: 'pong' }, 200));
  add('get', CONTRACT_PATH, () => answerContract(ORCHESTRATOR_CONTRACT));
  addDocsPage(app, '/swagger', CONTRACT_PATH);
};
