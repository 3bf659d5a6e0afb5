package dev.cube.envd.connect;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.Message;
import dev.cube.envd.SandboxTarget;
import dev.cube.guest.GuestException;
import dev.cube.http.BlockingInput;
import dev.cube.http.BlockingOutput;
import dev.cube.http.RequestBody;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Serves procedures by their paths, {@code /package.Service/Method}. Thread-safe; calls come on virtual threads. */
public final class ConnectServer {
    /** Bytes of one message, compressed or not; a client sends standard input in messages of any size. */
    static final int MESSAGE_LIMIT = 32 * 1024 * 1024;

    /** Of RFC 9113. A stream that is reset without an error looks to some clients as if it had come to its end. */
    private static final int HTTP2_INTERNAL_ERROR = 2;

    private static final Logger LOG = LoggerFactory.getLogger(ConnectServer.class);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Procedure> procedures;

    public ConnectServer(Map<String, Procedure> procedures) {
        this.procedures = Map.copyOf(procedures);
    }

    /**
     * Reads and writes a message of each procedure's, in both encodings. The first use of protobuf's JSON loads hundreds of
     * classes, for which no caller should wait.
     */
    public void warmUp() {
        for (Procedure procedure : procedures.values()) {
            Message prototype = switch (procedure) {
                case Procedure.Unary<?, ?> unary -> unary.prototype();
                case Procedure.ServerStream<?, ?> stream -> stream.prototype();
                case Procedure.ClientStream<?, ?> stream -> stream.prototype();
            };
            for (Codec codec : Codec.values()) {
                codec.decode(codec.encode(prototype), prototype);
            }
        }
    }

    public boolean serves(String path) {
        return procedures.containsKey(path);
    }

    /** Answers a call of a procedure that is served. */
    public void handle(SandboxTarget target, RoutingContext context) {
        HttpServerRequest request = context.request();
        HttpServerResponse response = context.response();
        Procedure procedure = procedures.get(request.path());
        if (!HttpMethod.POST.equals(request.method())) {
            RequestBody.discard(request);
            response.setStatusCode(405).putHeader("Allow", "POST").end();
            return;
        }
        boolean streaming = !(procedure instanceof Procedure.Unary);
        Optional<ContentType> type = ContentType.parse(request.getHeader("Content-Type"))
                .filter(given -> given.streaming() == streaming);
        if (type.isEmpty()) {
            RequestBody.discard(request);
            response.setStatusCode(415).putHeader("Accept-Post", ContentType.accepted(streaming)).end();
            return;
        }
        try (var body = BlockingInput.of(request)) {
            if (procedure instanceof Procedure.Unary<?, ?> unary) {
                new UnaryAnswer(context.vertx(), response, type.get()).serve(unary, target, request, body);
            } else {
                serveStream(procedure, target, request, response, type.get(), body);
            }
        }
    }

    private static ConnectException errorOf(Exception failure, String path) {
        return switch (failure) {
            case ConnectException error -> error;
            case GuestException error -> ConnectException.of(error);
            case IOException error -> new ConnectException(Code.CANCELED, String.valueOf(error.getMessage()));
            case InterruptedException error -> {
                Thread.currentThread().interrupt();
                yield new ConnectException(Code.CANCELED, "interrupted");
            }
            default -> {
                LOG.error("{} failed", path, failure);
                yield new ConnectException(Code.INTERNAL, "internal error: " + failure.getMessage());
            }
        };
    }

    private static byte[] json(Object value) {
        try {
            return JSON.writeValueAsBytes(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Map<String, String> body(ConnectException error) {
        return Map.of("code", error.code().wireName(), "message", String.valueOf(error.getMessage()));
    }

    private static void checkVersion(HttpServerRequest request) {
        String version = request.getHeader("Connect-Protocol-Version");
        if (version != null && !version.equals("1")) {
            throw new ConnectException(Code.INVALID_ARGUMENT,
                    "connect-protocol-version must be \"1\": got \"" + version + "\"");
        }
    }

    /** The answer of a unary call: the procedure's, or that its time is over, whichever comes first. */
    private record UnaryAnswer(Vertx vertx, HttpServerResponse response, ContentType type, AtomicBoolean given) {
        UnaryAnswer(Vertx vertx, HttpServerResponse response, ContentType type) {
            this(vertx, response, type, new AtomicBoolean());
        }

        <Q extends Message, R extends Message> void serve(Procedure.Unary<Q, R> procedure, SandboxTarget target,
                HttpServerRequest request, InputStream body) {
            long timer = -1;
            try {
                checkVersion(request);
                Call call = Call.of(target, request);
                if (call.timeout().isPresent()) {
                    timer = vertx.setTimer(call.timeout().get().toMillis(), expired -> fail(
                            new ConnectException(Code.DEADLINE_EXCEEDED, "context deadline exceeded")));
                }
                Compression compression = Compression.of(request.getHeader("Content-Encoding"));
                byte[] data = body.readNBytes(MESSAGE_LIMIT + 1);
                if (data.length > MESSAGE_LIMIT) {
                    throw Envelope.tooLarge(data.length, MESSAGE_LIMIT);
                }
                Q message = type.codec().decode(compression.expand(data, MESSAGE_LIMIT), procedure.prototype());
                succeed(procedure.action().call(call, message));
            } catch (IOException | RuntimeException e) {
                fail(errorOf(e, request.path()));
            } finally {
                if (timer >= 0) {
                    vertx.cancelTimer(timer);
                }
            }
        }

        private void succeed(Message answer) {
            end(200, type.header(), type.codec().encode(answer));
        }

        private void fail(ConnectException error) {
            end(error.code().httpStatus(), "application/json", json(body(error)));
        }

        private void end(int status, String contentType, byte[] body) {
            if (given.compareAndSet(false, true) && !response.closed()) {
                response.setStatusCode(status).putHeader("Content-Type", contentType).end(Buffer.buffer(body));
            }
        }
    }

    private static void serveStream(Procedure procedure, SandboxTarget target, HttpServerRequest request,
            HttpServerResponse response, ContentType type, InputStream body) {
        response.setChunked(true).putHeader("Content-Type", type.header());
        var output = BlockingOutput.to(response);
        byte[] end;
        try {
            checkVersion(request);
            Call call = Call.of(target, request);
            Compression compression = Compression.of(request.getHeader("Connect-Content-Encoding"));
            switch (procedure) {
                case Procedure.ServerStream<?, ?> stream -> answerMany(stream, call, type, compression, body, output);
                case Procedure.ClientStream<?, ?> stream -> takeMany(stream, call, type, compression, body, output);
                case Procedure.Unary<?, ?> unary -> throw new IllegalArgumentException("not a stream");
            }
            end = json(Map.of());
        } catch (IOException | InterruptedException | RuntimeException e) {
            ConnectException error = errorOf(e, request.path());
            if (error.code() == Code.UNAVAILABLE && response.headWritten()) {
                // A sandbox that goes away takes its streams with it. Clients look then whether it is still there.
                response.reset(HTTP2_INTERNAL_ERROR);
                return;
            }
            end = json(Map.of("error", body(error)));
        }
        try {
            output.write(Envelope.endOfStream(end));
            output.close();
        } catch (IOException e) {
            LOG.debug("the client of {} left before its end", request.path());
        }
    }

    private static <Q extends Message, R extends Message> void answerMany(Procedure.ServerStream<Q, R> procedure,
            Call call, ContentType type, Compression compression, InputStream body, BlockingOutput output)
            throws IOException, InterruptedException {
        var source = new MessageSource<>(body, type.codec(), compression, procedure.prototype(), MESSAGE_LIMIT);
        procedure.action().call(call, source.only(), new MessageSink<>(output, type.codec()));
    }

    private static <Q extends Message, R extends Message> void takeMany(Procedure.ClientStream<Q, R> procedure,
            Call call, ContentType type, Compression compression, InputStream body, BlockingOutput output)
            throws IOException {
        var source = new MessageSource<>(body, type.codec(), compression, procedure.prototype(), MESSAGE_LIMIT);
        R answer = procedure.action().call(call, source);
        new MessageSink<>(output, type.codec()).send(answer);
    }
}
