package dev.cube.hypervisor;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

/** Has what is made ahead give way to requests, which want the same processors and the same parent. Thread-safe. */
final class RequestsFirst {
    private static final Duration LONGEST = Duration.ofMillis(20);
    private static final Duration LOOK_EVERY = Duration.ofMillis(1);

    private final AtomicInteger underWay = new AtomicInteger();

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

    /** Waits while a request is being served, but not for long: under steady load, something must be made ahead too. */
    void giveWay() throws InterruptedException {
        long end = System.nanoTime() + LONGEST.toNanos();
        while (underWay.get() > 0 && System.nanoTime() < end) {
            Thread.sleep(LOOK_EVERY);
        }
    }
}
