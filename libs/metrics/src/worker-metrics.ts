import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export interface WorkerMetrics {
  attemptStarted(): void;
  attemptEnded(success: boolean): void;
  render(): Promise<string>;
}

/** What one worker process counts. The `executions_*` names are the runner's, kept for its clients. */
export const createWorkerMetrics = (): WorkerMetrics => {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const all = new Counter({ name: 'executions_total', help: 'Attempts that this worker has ended', registers });
  const good = new Counter({
    name: 'executions_success_total',
    help: 'Attempts that ended with exit code 0',
    registers,
  });
  const bad = new Counter({ name: 'executions_failed_total', help: 'Attempts that ended otherwise', registers });
  const running = new Gauge({ name: 'berth_worker_attempts_running', help: 'Attempts in this worker now', registers });
  return {
    attemptStarted: () => running.inc(),
    attemptEnded(success) {
      running.dec();
      all.inc();
      (success ? good : bad).inc();
    },
    render: () => registry.metrics(),
  };
};
