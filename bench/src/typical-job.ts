/** What most people would send: a name, a label, some environment. */
export const typicalSpec = {
  image: 'busybox:stable',
  command: ['python3', 'train.py', '--epochs', '10', '--data', '/workspace/data.csv'],
  name: 'train-resnet',
  labels: { team: 'vision' },
  env: { MODE: 'fast', SEED: '42' },
  cpus: 1,
  memory_mb: 512,
  timeout_seconds: 7200,
  max_attempts: 3,
};
