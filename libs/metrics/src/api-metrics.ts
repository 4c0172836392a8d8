import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** An answered request. `route` is the pattern, never the path: ids would be a series each. */
export interface RequestObservation {
  method: string;
  route: string;
  status: number;
  seconds: number;
}

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']);

const createAdmissionGauges = (registry: Registry) => ({
  open: new Gauge({
    name: 'berth_admission_open',
    help: 'Whether this process accepts jobs.',
    registers: [registry],
  }),
  refusal: new Gauge({
    name: 'berth_admission_refusal',
    help: 'Why it accepts none, as far as it does not.',
    labelNames: ['reason'],
    registers: [registry],
  }),
});

/** What an API process knows of itself. */
export const createApiMetrics = () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: 'berth_http_request_duration_seconds',
    help: 'Time from a request to the beginning of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry],
  });
  const admission = createAdmissionGauges(registry);
  return {
    contentType: registry.contentType,
    requestAnswered({ method, route, status, seconds }: RequestObservation): void {
      duration.observe({ method: METHODS.has(method) ? method : 'other', route, status }, seconds);
    },
    /** Why jobs are refused; nothing: they are accepted. */
    admissionSeen(reasons: readonly string[]): void {
      admission.open.set(reasons.length === 0 ? 1 : 0);
      admission.refusal.reset();
      for (const reason of reasons) admission.refusal.set({ reason }, 1);
    },
    /** Prometheus text. */
    render: (): Promise<string> => registry.metrics(),
  };
};

export type ApiMetrics = ReturnType<typeof createApiMetrics>;
