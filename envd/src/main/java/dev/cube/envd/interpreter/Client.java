package dev.cube.envd.interpreter;

import dev.cube.http.BlockingOutput;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import java.io.IOException;
import java.time.Instant;

/**
 * The client's end of one execution. Writing waits for a slow client; what is written for one that has gone away is
 * dropped.
 */
final class Client implements AutoCloseable {
    /** As E2B: how long the client hears nothing before it is told that all is well. */
    private static final long KEEPALIVE_MILLISECONDS = 5000;
    /** Small events are sent together while more of them wait. */
    private static final int BATCH = 32 * 1024;

    private final Vertx vertx;
    private final HttpServerResponse response;
    private final BlockingOutput output;
    private final long keepalive;
    private Buffer batch = Buffer.buffer();
    private volatile boolean quiet = true;

    Client(Vertx vertx, HttpServerResponse response) {
        this.vertx = vertx;
        this.response = response;
        response.setChunked(true).putHeader("content-type", "application/x-ndjson");
        output = BlockingOutput.to(response);
        keepalive = vertx.setPeriodic(KEEPALIVE_MILLISECONDS, timer -> keepAlive());
    }

    /** Has {@code action} run once when the client goes away before the end; it must not block. */
    void onGone(Runnable action) {
        output.onClosed(action);
    }

    boolean gone() {
        return output.closed();
    }

    void executions(int count) {
        add(ClientEvents.executions(count));
    }

    void text(KernelEvent.Text text) {
        add(ClientEvents.text(text, Instant.now()));
    }

    void result(KernelEvent.Result result) {
        add(ClientEvents.result(result));
    }

    void error(String name, String value, String traceback) {
        add(ClientEvents.error(name, value, traceback));
    }

    /** Sends what has been collected. */
    void flush() {
        if (batch.length() == 0) {
            return;
        }
        Buffer data = batch;
        batch = Buffer.buffer();
        quiet = false;
        try {
            output.write(data);
        } catch (IOException e) {
            // gone; whoever wants to know has registered with onGone
        }
    }

    /** Ends the stream as after a complete execution. */
    void end() {
        add(ClientEvents.END);
        flush();
        close();
    }

    /** Cuts the connection, so that the client sees that the sandbox is gone. */
    void abort() {
        vertx.cancelTimer(keepalive);
        response.reset();
    }

    @Override
    public void close() {
        vertx.cancelTimer(keepalive);
        output.close();
    }

    private void add(byte[] line) {
        if (gone()) {
            return;
        }
        batch.appendBytes(line);
        if (batch.length() >= BATCH) {
            flush();
        }
    }

    // On an event loop, where nothing may wait: a client whose socket is full is not told.
    private void keepAlive() {
        if (quiet && !gone() && !response.ended() && !response.writeQueueFull()) {
            response.write(Buffer.buffer(ClientEvents.KEEPALIVE));
        }
        quiet = true;
    }
}
