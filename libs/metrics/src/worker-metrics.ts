import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** What a worker process knows of itself. The `executions_*` names are the runner's, whose clients know them. */
export const createWorkerMetrics = () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const ended = new Counter({ name: 'executions_total', help: 'Total number of executions', registers });
  const succeeded = new Counter({
    name: 'executions_success_total',
    help: 'Total number of successful executions',
    registers,
  });
  const failed = new Counter({ name: 'executions_failed_total', help: 'Total number of failed executions', registers });
  const running = new Gauge({
    name: 'berth_worker_containers_running',
    help: 'Attempts that this worker runs now.',
    registers,
  });
  return {
    contentType: registry.contentType,
    attemptStarted: (): void => running.inc(),
    attemptEnded(success: boolean): void {
      running.dec();
      ended.inc();
      (success ? succeeded : failed).inc();
    },
    /** Prometheus text. */
    render: (): Promise<string> => registry.metrics(),
  };
};

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;
