package dev.cube.envd.interpreter;

import dev.cube.guest.ProcessEvent;
import java.util.Map;

/** How requests and events are written on a kernel's standard streams. For one thread. */
sealed interface KernelProtocol permits JsonProtocol, MarkedProtocol {
    static KernelProtocol of(Language language) {
        return switch (language) {
            case PYTHON -> new JsonProtocol(false);
            case JAVASCRIPT, TYPESCRIPT, JAVA -> new JsonProtocol(true);
            case BASH -> new BashProtocol();
            case R -> new RProtocol();
        };
    }

    /** A request to run a cell, whose events from its beginning on are then waited for. */
    byte[] execute(String id, String code, Map<String, String> environment);

    /** What a kernel is to be told before its next cell where interrupts were sent that may reach it late; may be empty. */
    byte[] settle();

    /** Takes in what the kernel wrote; {@link KernelException} if that is not bearable. */
    void add(ProcessEvent.Stream stream, byte[] data);

    /** Whether there may be an event. */
    boolean hasNext();

    /** The next event, or null if there is none yet; {@link KernelException} for something that is none. */
    KernelEvent poll();
}
