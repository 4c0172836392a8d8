import { JOB_STATES } from '@berth/domain';
import { type ApiMetrics, toJobMetricsText } from '@berth/metrics';
import { BUCKET_BOUNDS_MS, type JobList, type JobTotals } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { problem } from '../schemas/problem.js';

const metricsRoute = createRoute({
  method: 'get',
  path: '/metrics',
  summary: 'All jobs, the same on every replica, and this process, for Prometheus',
  responses: {
    200: { description: 'Prometheus text', content: { 'text/plain': { schema: z.string() } } },
    503: problem('Redis does not answer; see Retry-After'),
  },
});

interface MetricsOptions {
  metrics: ApiMetrics;
  list: JobList;
  readTotals: () => Promise<JobTotals>;
}

export const addMetricsRoute = (app: OpenAPIHono, { metrics, list, readTotals }: MetricsOptions): void => {
  addRoute(app, metricsRoute, async (c) => {
    const [totals, states] = await Promise.all([readTotals(), list.countByState(JOB_STATES)]);
    const jobs = toJobMetricsText({ bounds_ms: BUCKET_BOUNDS_MS, ...totals, states });
    return c.text(`${jobs}${await metrics.render()}`, 200, { 'content-type': metrics.contentType });
  });
};
