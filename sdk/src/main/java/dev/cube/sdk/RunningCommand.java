package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.Consumer;

/** A command that was started or attached to. For one thread. Closing it lets go of the command, which runs on. */
public final class RunningCommand implements AutoCloseable {
    private final ConnectStream stream;
    private final CommandOptions options;
    private final ByteArrayOutputStream stdout = new ByteArrayOutputStream();
    private final ByteArrayOutputStream stderr = new ByteArrayOutputStream();
    private final int pid;

    private RunningCommand(ConnectStream stream, CommandOptions options) {
        this.stream = stream;
        this.options = options;
        this.pid = nextEvent().path("start").path("pid").asInt();
    }

    static RunningCommand open(ConnectStream stream, CommandOptions options) {
        try {
            return new RunningCommand(stream, options);
        } catch (RuntimeException e) {
            stream.close();
            throw e;
        }
    }

    public int pid() {
        return pid;
    }

    /** Takes the command's output until it ends. */
    public CommandResult waitFor() {
        while (true) {
            JsonNode event = nextEvent();
            take(event.at("/data/stdout"), stdout, options.onStdout());
            take(event.at("/data/pty"), stdout, options.onStdout());
            take(event.at("/data/stderr"), stderr, options.onStderr());
            JsonNode end = event.path("end");
            if (!end.isMissingNode()) {
                return new CommandResult(end.path("exitCode").asInt(), stdout.toString(StandardCharsets.UTF_8),
                        stderr.toString(StandardCharsets.UTF_8), end.path("error").asText(null));
            }
        }
    }

    private JsonNode nextEvent() {
        Optional<JsonNode> message = stream.next();
        return message.orElseThrow(() -> new CubeException("the stream ended before the command did")).path("event");
    }

    private static void take(JsonNode data, ByteArrayOutputStream collected, Consumer<byte[]> consumer) {
        if (data.isTextual()) {
            try {
                byte[] bytes = data.binaryValue();
                collected.writeBytes(bytes);
                consumer.accept(bytes);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    @Override
    public void close() {
        stream.close();
    }
}
