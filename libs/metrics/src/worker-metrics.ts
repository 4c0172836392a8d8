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
  const adopted = new Counter({
    name: 'berth_worker_attempts_adopted_total',
    help: 'Running attempts that this worker took over from another one of its machine.',
    registers,
  });
  const wentBack = new Gauge({
    name: 'berth_worker_broker_went_back',
    help: 'Whether Redis is known to have gone back to an older state, so that this worker begins no jobs.',
    registers,
  });
  return {
    contentType: registry.contentType,
    brokerWentBack: (yes: boolean): void => wentBack.set(yes ? 1 : 0),
    attemptStarted(fromAnother: boolean): void {
      running.inc();
      if (fromAnother) adopted.inc();
    },
    /** It goes on in other hands, or its end could not be written. */
    attemptLeft: (): void => running.dec(),
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
