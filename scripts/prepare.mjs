// Runs before node_modules exists: node's own modules only.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const readJson = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8'));
const isPresent = (path) => existsSync(join(root, path));

/** The program that npm itself said to use, so that `npm start` under one npm never installs with another. */
const npm = process.env.npm_execpath?.endsWith('.js')
  ? [process.execPath, process.env.npm_execpath]
  : [process.platform === 'win32' ? 'npm.cmd' : 'npm'];

/** Runs a program of the repository in the foreground. Returns its exit code. */
export const run = (command, options = {}) => {
  const [program, ...args] = command;
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) console.error(`${program}: ${result.error.message}`);
  return result.status ?? 1;
};

export const npmCommand = (...args) => [...npm, ...args];

/** A program of a package in node_modules, without a shell or npx in between. */
export const binOf = (packageName, bin = packageName) => {
  const { bin: bins } = readJson('node_modules', packageName, 'package.json');
  const file = typeof bins === 'string' ? bins : bins[bin];
  return [process.execPath, join(root, 'node_modules', packageName, file)];
};

/** npm keeps beside the packages a list of what it installed; packages of other platforms are not in it. */
const isInstalled = () => {
  if (!isPresent('node_modules/.package-lock.json')) return false;
  const wanted = readJson('package-lock.json').packages;
  const installed = readJson('node_modules', '.package-lock.json').packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = installed[path];
    if (!found) return Boolean(entry.optional || entry.devOptional);
    return found.version === entry.version && found.integrity === entry.integrity && isPresent(path);
  });
};

/** Installs the npm packages where they are missing or not those of the lockfile. */
export const install = () => {
  if (isInstalled()) return 0;
  console.log('Installing npm packages (npm ci) …');
  return run(npmCommand('ci', '--ignore-scripts', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error'));
};

const listFiles = (folder) =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? listFiles(path) : [path];
  });

const sourcesOf = (project) => (isPresent(`${project}/src`) ? listFiles(`${project}/src`) : []);

/** Name, size and time of everything that the build reads: tsc itself takes most of a second to find out the same. */
const toFingerprint = (projects) => {
  const hash = createHash('sha256');
  const settings = projects.flatMap((project) => [`${project}/package.json`, `${project}/tsconfig.json`]);
  for (const path of [...projects.flatMap(sourcesOf), ...settings, 'tsconfig.base.json', 'package-lock.json']) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
};

const stamp = join(root, 'node_modules', '.cache', 'berth-build');
const readStamp = () => (existsSync(stamp) ? readFileSync(stamp, 'utf8') : '');

const outputsArePresent = (projects) =>
  projects
    .flatMap(sourcesOf)
    .filter((path) => /(?<!\.test|\.d)\.ts$/.test(path))
    .every((path) => isPresent(path.replace('/src/', '/dist/').replace(/\.ts$/, '.js')));

/** Builds what is out of date. The tests' project is not part of it. */
export const build = () => {
  const projects = readJson('tsconfig.json')
    .references.map(({ path }) => path)
    .filter((path) => !path.endsWith('.json'));
  const fingerprint = toFingerprint(projects);
  const complete = outputsArePresent(projects);
  if (complete && readStamp() === fingerprint) return 0;
  // tsc trusts its own notes, not the disk: it would not write again what someone deleted.
  const command = [...binOf('typescript', 'tsc'), '-b', ...projects];
  const code = run(complete ? command : [...command, '--force']);
  if (code === 0) {
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, fingerprint);
  }
  return code;
};

const nodeIsNewEnough = () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19);
};

/** Packages and build, in about a second when nothing changed. Returns what went wrong, or undefined. */
export const prepare = () => {
  if (!nodeIsNewEnough()) return `Berth needs Node 20.19 or newer; this is ${process.version}.`;
  if (install() !== 0) return 'The npm packages could not be installed: see above.';
  if (build() !== 0) return 'The build failed: see above.';
  return undefined;
};
