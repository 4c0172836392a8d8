// Cleans up after a world of the fault tests, also one whose test process was killed: it waits for the end of its standard
// input, then ends every process of the world, and removes its folder and cgroups. What it could not remove it names, and exits
// with 1. Lines that it reads: `pid <pid>`, a process of the world; `space <pid>`, one whose namespaces belong to the world.
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const folder = process.argv[2];
const LIMIT_MS = 45_000;
const CGROUPS = '/sys/fs/cgroup';

const attempt = (action, otherwise) => {
  try {
    return action();
  } catch {
    return otherwise;
  }
};

/** Tells a process from a later one with the same number. */
const readStart = (pid) => attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[19]);
const isZombie = (pid) => attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0] === 'Z', true);
const readSpaces = (pid) =>
  ['net', 'mnt'].flatMap((kind) => attempt(() => [readlinkSync(`/proc/${pid}/ns/${kind}`)], []));

const ownSpaces = new Set(readSpaces('self'));
const processes = new Map();
const spaces = new Set();

const take = (line) => {
  const [word, pid] = line.split(' ');
  processes.set(pid, readStart(pid));
  if (word === 'space') for (const space of readSpaces(pid)) if (!ownSpaces.has(space)) spaces.add(space);
};

/** An engine's data may lie on a disk that only its own mount namespace shows. */
const listContainers = () => {
  const roots = ['/', ...[...processes.keys()].map((pid) => `/proc/${pid}/root`)];
  const list = (path) => attempt(() => readdirSync(path), []);
  const found = roots.flatMap((root) =>
    list(join(root, folder)).flatMap((name) => list(join(root, folder, name, 'data/containers'))),
  );
  return [...new Set(found)];
};

const listOurs = (containers) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !isZombie(name))
    .filter((pid) => {
      if (processes.has(pid) && processes.get(pid) === readStart(pid)) return true;
      if (readSpaces(pid).some((space) => spaces.has(space))) return true;
      const cgroups = attempt(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8'), '');
      return containers.some((id) => cgroups.includes(id));
    });

const listCgroups = (containers) => {
  const roots = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))].map((root) =>
    join(root, 'docker'),
  );
  return roots.flatMap((root) => containers.map((id) => join(root, id))).filter((path) => existsSync(path));
};

/** A paused process does not die before it is thawed. */
const thaw = (cgroup) => {
  for (const [file, word] of [
    ['freezer.state', 'THAWED'],
    ['cgroup.freeze', '0'],
  ])
    attempt(() => existsSync(join(cgroup, file)) && writeFileSync(join(cgroup, file), word));
};

const removeCgroup = (path) => {
  for (const entry of attempt(() => readdirSync(path, { withFileTypes: true }), []))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  attempt(() => rmdirSync(path));
};

const passes = async (action) => {
  for (const deadline = Date.now() + LIMIT_MS; Date.now() < deadline; ) {
    if (action()) return true;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  return false;
};

const sweep = async () => {
  const left = [];
  const containers = attempt(listContainers, []);
  const endAll = () => {
    for (const path of listCgroups(containers)) thaw(path);
    const alive = listOurs(containers);
    for (const pid of alive) attempt(() => process.kill(Number(pid), 'SIGKILL'));
    return alive.length === 0;
  };
  if (!(await passes(endAll))) left.push(`processes ${listOurs(containers).join(' ')}`);
  const clear = () => {
    for (const path of listCgroups(containers)) removeCgroup(path);
    return listCgroups(containers).length === 0;
  };
  if (!(await passes(clear))) left.push(`cgroups ${listCgroups(containers).join(' ')}`);
  const erase = () => attempt(() => rmSync(folder, { recursive: true, force: true }) ?? true, false);
  if (!(await passes(erase))) left.push(`folder ${folder}`);
  return left;
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
for await (const line of createInterface({ input: process.stdin })) take(line);
const left = await sweep();
if (left.length > 0) {
  process.stderr.write(`left behind by a world: ${left.join('; ')}\n`);
  process.exit(1);
}
