/**
 * The server's half of the Connect protocol (connectrpc.com/docs/protocol): unary calls and enveloped streams over plain
 * HTTP, in JSON and in binary protobuf.
 */
package dev.cube.envd.connect;
