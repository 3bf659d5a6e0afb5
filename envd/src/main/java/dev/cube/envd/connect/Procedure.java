package dev.cube.envd.connect;

import com.google.protobuf.Message;
import java.io.IOException;

/** A procedure of a service, by its kind. What it throws becomes the call's error. */
public sealed interface Procedure {
    /** One message each way. */
    record Unary<Q extends Message, R extends Message>(Q prototype, Action<Q, R> action) implements Procedure {
        @FunctionalInterface
        public interface Action<Q, R> {
            R call(Call call, Q request);
        }
    }

    /** One message in, many out. */
    record ServerStream<Q extends Message, R extends Message>(Q prototype, Action<Q, R> action) implements Procedure {
        @FunctionalInterface
        public interface Action<Q, R extends Message> {
            void call(Call call, Q request, MessageSink<R> answers) throws IOException, InterruptedException;
        }
    }

    /** Many messages in, one out. */
    record ClientStream<Q extends Message, R extends Message>(Q prototype, Action<Q, R> action) implements Procedure {
        @FunctionalInterface
        public interface Action<Q extends Message, R> {
            R call(Call call, MessageSource<Q> requests) throws IOException;
        }
    }
}
