// Prints so many TCP ports that are free on this machine:  node free-ports.mjs COUNT
import net from 'node:net';

const servers = await Promise.all(Array.from({ length: Number(process.argv[2]) }, () => new Promise((resolve) => {
  const server = net.createServer().listen(0, () => resolve(server));
})));
console.log(servers.map((server) => server.address().port).join(' '));
servers.forEach((server) => server.close());
