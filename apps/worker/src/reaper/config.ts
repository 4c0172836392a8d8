import { z } from 'zod';

/** Every environment variable that the reaper reads; README's table says what each is for. */
const environmentSchema = z.object({
  BERTH_RUN_DIR: z.string().optional(),
  BERTH_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  DOCKER_HOST: z.string().optional(),
});

export interface ReaperConfig {
  /** Where the workers of this machine write their lease files. Undefined: only deadlines are enforced. */
  runDir: string | undefined;
  logLevel: string;
  dockerHost: string | undefined;
}

/** An empty variable is one that is not set. Throws one error that names everything that is wrong. */
export const toReaperConfig = (environment: Record<string, string | undefined>): ReaperConfig => {
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`The configuration is wrong: ${problems.join('; ')}`);
  }
  const { BERTH_RUN_DIR: runDir, BERTH_LOG_LEVEL: logLevel, DOCKER_HOST: dockerHost } = parsed.data;
  return { runDir, logLevel, dockerHost };
};

export const readReaperConfig = (): ReaperConfig => toReaperConfig(process.env);
