// A child of the stack as small as can be: answers /healthz on --port, notes its start, leaves on SIGTERM.
// --stubborn ignores SIGTERM; --helper starts a process in the same group; --loud writes to stdout without end.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';

const option = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
const flag = (name) => process.argv.includes(`--${name}`);

console.log(`started ${process.pid}`);
if (flag('helper')) {
  const helper = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  console.log(`helper ${helper.pid}`);
}
if (flag('stubborn')) process.on('SIGTERM', () => console.log('not yet'));
else
  process.on('SIGTERM', () => {
    console.log(`left ${process.pid}`);
    process.exit(0);
  });
if (flag('fail')) {
  console.error('cannot start: no licence');
  process.exit(3);
}
createServer((_request, response) => response.end('ok')).listen(Number(option('port')), '127.0.0.1');
