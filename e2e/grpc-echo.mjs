// A gRPC service without a schema: messages are bytes. What both sides must know of it, and, run as a program, the service
// itself on the port of the first argument.
import { pathToFileURL } from 'node:url';
import grpc from '@grpc/grpc-js';

const bytes = (message) => message;
const method = (name, requestStream, responseStream) => ({
  path: `/cube.Echo/${name}`, requestStream, responseStream,
  requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
});

export const Echo = {
  unary: method('Unary', false, false),
  refuse: method('Refuse', false, false),
  count: method('Count', false, true),
  join: method('Join', true, false),
  chat: method('Chat', true, true),
  cancelled: method('Cancelled', false, false),
};

const service = () => {
  let cancelled = 0;
  return {
    // Metadata that the client sent comes back before the message, and as trailer behind it.
    unary(call, done) {
      const head = new grpc.Metadata();
      head.set('x-peer', call.metadata.get('x-name')[0] ?? '');
      call.sendMetadata(head);
      const trailer = new grpc.Metadata();
      trailer.set('x-bytes-bin', Buffer.from([0, 255, call.request.length % 256]));
      done(null, call.request, trailer);
    },
    refuse(_, done) {
      const metadata = new grpc.Metadata();
      metadata.set('x-why', 'because');
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'no: ünfit, 100 %', metadata });
    },
    // So many numbers; without an end where none is asked for.
    count(call) {
      const end = Number(call.request);
      let next = 0;
      const timer = setInterval(() => {
        if (end && next === end) {
          clearInterval(timer);
          call.end();
          return;
        }
        call.write(Buffer.from(String(next++)));
      }, 20);
      call.on('cancelled', () => { clearInterval(timer); cancelled++; });
    },
    join(call, done) {
      const parts = [];
      call.on('data', (part) => parts.push(part)).on('end', () => done(null, Buffer.concat(parts)));
    },
    chat(call) {
      call.on('data', (message) => call.write(Buffer.from(`you said ${message}`))).on('end', () => call.end());
    },
    cancelled(_, done) {
      done(null, Buffer.from(String(cancelled)));
    },
  };
};

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = new grpc.Server();
  server.addService(Echo, service());
  server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}
