// Runs in an engine's network namespace. Jobs send it one line each, `<job id> <epoch>`; it writes the line to a file, behind the time of
// its arrival in Unix milliseconds, and answers `ok`.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:net';

const [host, port, file] = process.argv.slice(2);

createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (data) => {
    text += data;
    const end = text.indexOf('\n');
    if (end < 0) return;
    appendFileSync(file, `${text.slice(0, end)} ${Date.now()}\n`);
    socket.end('ok\n');
  });
}).listen(Number(port), host, () => process.stdout.write('listening\n'));
