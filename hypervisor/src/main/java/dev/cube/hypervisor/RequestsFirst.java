package dev.cube.hypervisor;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

/** Has what is made ahead of requests or behind them give way to those that are being served. Thread-safe. */
final class RequestsFirst {
    /** For children that are made ahead: longer, and there are none when they are asked for. */
    static final Duration FOR_CHILDREN = Duration.ofMillis(20);
    private static final Duration LOOK_EVERY = Duration.ofMillis(1);

    private final Duration longest;
    private final AtomicInteger underWay = new AtomicInteger();

    /** @param longest that something gives way: under steady load it must be done too */
    RequestsFirst(Duration longest) {
        this.longest = longest;
    }

    /** What a request asks for. */
    @FunctionalInterface
    interface Request<T, E extends Exception> {
        T serve() throws E;
    }

    <T, E extends Exception> T serve(Request<T, E> request) throws E {
        underWay.incrementAndGet();
        try {
            return request.serve();
        } finally {
            underWay.decrementAndGet();
        }
    }

    /** Waits while a request is being served. */
    void giveWay() throws InterruptedException {
        long end = System.nanoTime() + longest.toNanos();
        while (underWay.get() > 0 && System.nanoTime() < end) {
            Thread.sleep(LOOK_EVERY);
        }
    }
}
