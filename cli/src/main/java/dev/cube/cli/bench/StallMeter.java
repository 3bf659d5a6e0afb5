package dev.cube.cli.bench;

import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.RunningCommand;
import dev.cube.sdk.Sandbox;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Watches a guest's clock by a process in the guest that reads it all the time; see {@link Stall}. */
final class StallMeter implements AutoCloseable {
    /** Tells each reading and the longest gap before it every 10 ms, in nanoseconds. Needs Python in the image. */
    private static final String CLOCK = """
            exec python3 -uc '
            import time
            clock = time.monotonic_ns
            told = last = clock()
            gap = 0
            while True:
                time.sleep(0.001)
                now = clock()
                gap = max(gap, now - last)
                last = now
                if now - told >= 10_000_000:
                    print(now, gap)
                    told, gap = now, 0
            '""";

    private final Sandbox sandbox;
    private final RunningCommand clock;
    private final Thread reader;
    private final List<Stall.Reading> readings = new CopyOnWriteArrayList<>();
    private final StringBuilder line = new StringBuilder();

    private StallMeter(Sandbox sandbox) {
        this.sandbox = sandbox;
        this.clock = sandbox.commands().start(CLOCK, CommandOptions.DEFAULT.withOutput(this::take, error -> {}));
        this.reader = Thread.ofVirtual().start(this::read);
    }

    static StallMeter start(Sandbox sandbox) {
        return new StallMeter(sandbox);
    }

    private void read() {
        try {
            clock.waitFor();
        } catch (CubeException e) {
            // Nothing comes any more; a measurement from here on is unknown.
        }
    }

    private void take(byte[] output) {
        long arrived = System.nanoTime();
        for (byte b : output) {
            if (b == '\n') {
                String[] numbers = line.toString().split(" ");
                readings.add(new Stall.Reading(arrived, Long.parseLong(numbers[0]), Long.parseLong(numbers[1])));
                line.setLength(0);
            } else {
                line.append((char) b);
            }
        }
    }

    /** What an event did that began and ended then, by {@link System#nanoTime}, see {@link Stall#of}. */
    Stall between(long from, long over, long to) {
        return Stall.of(List.copyOf(readings), from, over, to);
    }

    @Override
    public void close() {
        try {
            sandbox.commands().kill(clock.pid());
        } catch (CubeException e) {
            // It has ended, or the sandbox has.
        }
        clock.close();
        try {
            reader.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
