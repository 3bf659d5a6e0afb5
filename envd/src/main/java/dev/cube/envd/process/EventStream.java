package dev.cube.envd.process;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.cube.envd.connect.Call;
import dev.cube.envd.connect.Code;
import dev.cube.envd.connect.ConnectException;
import dev.cube.envd.rpc.process.ProcessEvent;
import java.io.IOException;
import java.time.Duration;

/** Tells one client of a process: that it started, what it does, and how it ended. */
final class EventStream {
    /** Where the events go. */
    @FunctionalInterface
    interface Sink {
        void send(ProcessEvent event) throws IOException;
    }

    private static final ProcessEvent KEEPALIVE =
            ProcessEvent.newBuilder().setKeepalive(ProcessEvent.KeepAlive.getDefaultInstance()).build();

    private final Duration keepalive;
    /** By {@link System#nanoTime}; far away where the client set none. */
    private final long deadline;
    private final Sink sink;

    EventStream(Call call, Sink sink) {
        this.keepalive = call.keepalive();
        this.deadline = System.nanoTime() + call.timeout().map(Duration::toNanos).orElse(Long.MAX_VALUE / 2);
        this.sink = sink;
    }

    /** Returns when the process has ended and the client knows. */
    void relay(int pid, Subscription subscription) throws IOException, InterruptedException {
        sink.send(ProcessEvent.newBuilder().setStart(ProcessEvent.StartEvent.newBuilder().setPid(pid)).build());
        while (true) {
            Duration left = Duration.ofNanos(deadline - System.nanoTime());
            switch (subscription.next(left.compareTo(keepalive) < 0 ? left : keepalive)) {
                case Subscription.Next.Output(var output) -> sink.send(data(output));
                case Subscription.Next.Over(Outcome.Ended(var event)) -> {
                    sink.send(ProcessEvent.newBuilder().setEnd(event).build());
                    return;
                }
                case Subscription.Next.Over(Outcome.Lost(var reason)) ->
                        throw new ConnectException(Code.UNAVAILABLE, "the sandbox is gone: " + reason);
                case Subscription.Next.Closed() -> throw new IOException("the client is gone");
                case Subscription.Next.Quiet() -> {
                    if (deadline - System.nanoTime() <= 0) {
                        throw new ConnectException(Code.DEADLINE_EXCEEDED, "context deadline exceeded");
                    }
                    sink.send(KEEPALIVE);
                }
            }
        }
    }

    private static ProcessEvent data(dev.cube.guest.ProcessEvent.Output output) {
        ByteString bytes = UnsafeByteOperations.unsafeWrap(output.data());
        var data = ProcessEvent.DataEvent.newBuilder();
        switch (output.stream()) {
            case STDOUT -> data.setStdout(bytes);
            case STDERR -> data.setStderr(bytes);
            case PTY -> data.setPty(bytes);
        }
        return ProcessEvent.newBuilder().setData(data).build();
    }
}
