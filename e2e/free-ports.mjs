// Prints so many TCP ports that are free on this machine:  node free-ports.mjs COUNT
// Below those that the kernel gives to connections, so that none takes one while the server on it is restarted.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';

const [end] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split(/\s+/).map(Number);

async function listening() {
  for (let attempt = 0; attempt < 100; attempt++) {
    const server = net.createServer().listen(randomInt(10_000, Math.max(end, 20_000)));
    try {
      await once(server, 'listening');
      return server;
    } catch {
      // Taken.
    }
  }
  throw new Error('no port is free');
}

const servers = [];
while (servers.length < Number(process.argv[2])) servers.push(await listening());
console.log(servers.map((server) => server.address().port).join(' '));
servers.forEach((server) => server.close());
