import type { createRoute, OpenAPIHono, RouteConfig, RouteConfigToTypedResponse } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { z } from 'zod';
import { parseQuery } from './request-input.js';

type Route = ReturnType<typeof createRoute<string, RouteConfig>>;
type Query<R> = R extends { request: { query: infer Q extends z.ZodType } } ? z.output<Q> : Record<string, never>;
type Answer<R extends RouteConfig> = RouteConfigToTypedResponse<R> | Promise<RouteConfigToTypedResponse<R>>;

/**
 * Puts a route into the contract and its handler onto the path. The handler's answer is checked against the contract by the compiler;
 * the query is parsed here, strictly; a body is parsed by the handler with `readJsonBody` and a schema.
 */
export const addRoute = <R extends Route>(
  app: OpenAPIHono,
  route: R,
  handler: (c: Context, query: Query<R>) => Answer<R>,
): void => {
  app.openAPIRegistry.registerPath(route);
  const schema = route.request?.query;
  app.on(route.method, route.getRoutingPath(), async (c) => {
    const query = parseQuery(c, schema) as Query<R>;
    return (await handler(c, query)) as unknown as Response;
  });
};
